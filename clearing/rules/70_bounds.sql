-- What a tap of each kind may cost: the most that its tariff lets a ride cost, and its price; nothing where no
-- tariff covers it.
SELECT kinds.tap_day, kinds.ride, kinds.holder_class, kinds.full_fare, kinds.linked, kinds.list_fare_fen,
       fare.max_fare_fen, fare.price_fen
FROM kinds
LEFT JOIN fare ON fare.no = kinds.no
