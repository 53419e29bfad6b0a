select id, s from {{ ref('a') }} where id is not null
