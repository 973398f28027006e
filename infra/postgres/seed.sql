-- A small shop for trying things out: psql -v ON_ERROR_STOP=1 -f seed.sql. It goes through reco.put(), so running programs learn of it.
-- Namespace: psql -v space=shop ..., or default.
\if :{?space}
\else
    \set space default
\endif
BEGIN;
SELECT count(reco.put(:'space', 1::smallint, id, document)) AS items
FROM (VALUES
    ('kettle', '{"title":"Kettle, 1.7 l","categories":["Kitchen"],"attributes":{"price":34.9,"brand":"Norden"}}'),
    ('teapot', '{"title":"Teapot of stoneware","categories":["Kitchen","Tea"],"attributes":{"price":42.0,"brand":"Lehm"}}'),
    ('green-tea', '{"title":"Green tea, 100 g","categories":["Tea","Food"],"attributes":{"price":8.5,"brand":"Hang"}}'),
    ('black-tea', '{"title":"Black tea, 100 g","categories":["Tea","Food"],"attributes":{"price":6.9,"brand":"Hang"}}'),
    ('mug', '{"title":"Mug, 0.3 l","categories":["Kitchen"],"attributes":{"price":9.9,"brand":"Lehm"}}'),
    ('honey', '{"title":"Honey of linden","categories":["Food"],"attributes":{"price":7.2,"brand":"Imme"}}'),
    ('winter-tea', '{"title":"Winter tea, 80 g","categories":["Tea","Food"],"available_from":1764547200000,"available_until":1772323200000}'),
    ('old-mug', '{"title":"Mug, last year''s","categories":["Kitchen"],"hidden":true}')
) AS shop (id, document);
SELECT count(reco.put(:'space', 2::smallint, id, document)) AS users
FROM (VALUES
    ('ada', '{"segment":"regular","attributes":{"country":"GB"}}'),
    ('emmy', '{"segment":"new","attributes":{"country":"DE"}}'),
    ('sonja', '{"segment":"regular","attributes":{"country":"SE"}}')
) AS people (id, document);
SELECT reco.put(:'space', 4::smallint, 'more-revisits', '{"state":"draft","variants":{"control":50,"more":50}}') AS newest;
SELECT reco.events_months((now() - interval '1 month')::date, (now() + interval '2 months')::date) AS months_made;
COMMIT;
