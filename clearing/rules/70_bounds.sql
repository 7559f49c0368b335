-- What a tap of each kind may cost: the most that its tariff lets a ride cost, and its price; nothing where no
-- tariff covers it. What is sold at a counter (ride 5) costs what was typed there, up to what a card may hold
-- (terminals/counter.py says why).
-- An entry to the metro (ride 2) rightly takes nothing.
SELECT kinds.no, kinds.tap_day, kinds.fare_kind, kinds.ride = 2 AS takes_nothing,
       CASE WHEN kinds.ride = 5 THEN 100000 ELSE fare.max_fare_fen END AS max_fare_fen,
       CASE WHEN kinds.ride = 5 THEN kinds.list_fare_fen ELSE fare.price_fen END AS price_fen
FROM kinds
LEFT JOIN fare ON fare.no = kinds.no
