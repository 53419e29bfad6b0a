select {{ util.money('1.234') }} as price, '{{ var("unit") }}' as unit
