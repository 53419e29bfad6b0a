"""How late will flights be on a given day? A regression that SQL has no words for.

Two ridge regressions on the mean delay at departure of each day:

- *calendar*: weekday, season (a Fourier series over the year) and the distance to a holiday;
- *full*: the same, and the day's weather, as if its forecast had been right.

Each day is predicted by a model that has not seen its week: whole weeks are held out in turn, so
the error that is printed is what to expect of a new week, not how well a curve was fitted. January
2014, which nobody has flown yet, is predicted from the calendar alone.

@model
description: >
  The year's mean departure delay per day beside what calendar and weather made of it, and the
  outlook for January 2014. Minutes.
owner: analytics@example.com
timeout: 5m
columns:
  date: {checks: [unique, not_null]}
  actual: {description: "Mean delay at departure. Null: a day of the outlook."}
  usual: {description: "From the calendar alone, by a model that did not see the day's week."}
  expected: {description: "The same with the day's weather. Null: no weather known."}
  kind:
    checks:
      - accepted_values: {values: [observed, outlook]}
"""

import numpy as np
import pandas as pd

FOLDS = 8
HARMONICS = 3  # of the year: enough for a bad summer and a bad December, too few to chase weeks
RIDGE = 3.0  # pulls coefficients of standardized features towards 0; 1 to 10 does equally well
WEATHER = ["rain_in", "wind_mph", "gust_mph", "low_visibility_hours", "cold", "heat"]
OUTLOOK_DAYS = 31


def model(warehouse):
    days = warehouse.table("marts.daily_delays").df()
    holidays = warehouse.table("seeds.holidays").df()
    days["date"] = pd.to_datetime(days["date"])
    days = days.sort_values("date", ignore_index=True)
    actual = days["mean_departure_delay"].to_numpy(float)

    calendar = calendar_features(days["date"], holidays)
    weather = weather_features(days)
    known = weather.notna().all(axis=1).to_numpy()
    print(f"{len(days)} days, {known.sum()} of them with weather")

    everything = pd.concat([calendar, weather], axis=1)
    weeks = (days["date"] - days["date"].min()).dt.days.to_numpy() // 7
    usual = held_out(calendar.to_numpy(float), actual, weeks)
    expected = np.full(len(days), np.nan)
    expected[known] = held_out(everything[known].to_numpy(float), actual[known], weeks[known])

    tell("the year's mean", actual[known], np.full(known.sum(), actual.mean()))
    tell("calendar", actual[known], usual[known])
    tell("calendar and weather", actual[known], expected[known])
    tell_effects(everything[known], actual[known])

    observed = pd.DataFrame(
        {"date": days["date"], "kind": "observed", "actual": actual, "usual": usual}
    ).assign(expected=expected)
    result = pd.concat([observed, outlook(days["date"].max(), calendar, actual, holidays)])
    result["date"] = result["date"].astype("datetime64[us]").dt.date
    return result


def calendar_features(dates, holidays):
    """One row per date: weekday, season, and the days around a holiday."""
    features = {f"weekday {n}": (dates.dt.isocalendar().day == n) for n in range(1, 8)}
    angle = 2 * np.pi * dates.dt.dayofyear / 365.25
    for k in range(1, HARMONICS + 1):
        features[f"year cos {k}"], features[f"year sin {k}"] = np.cos(k * angle), np.sin(k * angle)
    feasts = pd.to_datetime(holidays["date"])
    for shift, name in [(-1, "eve of holiday"), (0, "holiday"), (1, "day after holiday")]:
        features[name] = dates.isin(feasts + pd.Timedelta(days=shift))
    return pd.DataFrame(features).astype(float)


def weather_features(days):
    """Delays grow with the root of rain: the first tenth of an inch does most of the harm."""
    frame = days.assign(
        rain_in=np.sqrt(days["rain_in"]),
        cold=(32 - days["temperature_f"]).clip(lower=0),
        heat=(days["temperature_f"] - 75).clip(lower=0),
    )
    # A day on which no gust was strong enough to be reported had none.
    frame["gust_mph"] = frame["gust_mph"].mask(
        frame["rain_in"].notna(), frame["gust_mph"].fillna(0)
    )
    return frame[WEATHER].astype(float)


def fit(x, y):
    """Ridge regression; returns (coefficient per standardized feature, function that predicts)."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1.0  # a holiday that is not among these weeks
    z = (x - centre) / scale
    beta = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return beta, lambda new: y.mean() + (new - centre) / scale @ beta


def held_out(x, y, weeks):
    """Predictions of each day by a model that was fitted without the day's week."""
    predicted = np.empty(len(y))
    for fold in range(FOLDS):
        test = weeks % FOLDS == fold
        _, predict = fit(x[~test], y[~test])
        predicted[test] = predict(x[test])
        error = np.abs(predicted[test] - y[test]).mean()
        print(f"  fold {fold + 1}/{FOLDS}: {test.sum()} days held out, off by {error:.1f} min")
    return predicted


def tell(name, actual, predicted):
    error = np.abs(actual - predicted).mean()
    explained = 1 - np.square(actual - predicted).sum() / np.square(actual - actual.mean()).sum()
    print(f"{name:>22}: off by {error:4.1f} min a day, explains {explained:5.1%} of the variance")


def tell_effects(features, actual):
    beta, _ = fit(features.to_numpy(float), actual)
    print("what one standard deviation more of it does:")
    for i in np.argsort(-np.abs(beta))[:8]:
        print(f"{features.columns[i]:>22}: {beta[i]:+5.1f} min")


def outlook(last, calendar, actual, holidays):
    """The next days from the calendar alone, as nobody knows their weather."""
    dates = pd.Series(pd.date_range(last + pd.Timedelta(days=1), periods=OUTLOOK_DAYS))
    _, predict = fit(calendar.to_numpy(float), actual)
    usual = predict(calendar_features(dates, holidays).to_numpy(float))
    print(
        f"outlook: {dates.iloc[0]:%d %b} to {dates.iloc[-1]:%d %b %Y}, mean {usual.mean():.1f} min"
    )
    return pd.DataFrame({"date": dates, "kind": "outlook", "usual": usual})
