-- What a tap of each kind may cost: the most that its tariff lets a ride cost, and its price; nothing where no
-- tariff covers it. What is sold at a counter (ride 5) costs what was typed there, up to what a card may hold.
SELECT kinds.tap_day, kinds.ride, kinds.holder_class, kinds.full_fare, kinds.linked, kinds.list_fare_fen,
       CASE WHEN kinds.ride = 5 THEN 100000 ELSE fare.max_fare_fen END AS max_fare_fen,
       CASE WHEN kinds.ride = 5 THEN kinds.list_fare_fen ELSE fare.price_fen END AS price_fen
FROM kinds
LEFT JOIN fare ON fare.no = kinds.no
