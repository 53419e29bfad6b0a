/* @model
description: Whether a flight of so many miles is short, medium or long.
owner: analytics@example.com
materialized: function
arguments: {miles: int}
returns: varchar
*/
select case when /*$miles*/ 500 < 600 then 'short' when /*$miles*/ 500 < 1800 then 'medium' else 'long' end
