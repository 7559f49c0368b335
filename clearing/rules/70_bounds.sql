-- What could not have been charged here: above the tariff's or the device's limit, nothing for a ride that
-- costs something, or a day that no tariff covers. An entry to the metro rightly takes nothing.
SELECT tap.no,
       fare.no IS NULL
         OR tap.amount_fen > fare.max_fare_fen
         OR tap.amount_fen > COALESCE(place.device_limit_fen, tap.amount_fen)
         OR tap.amount_fen < 0
         OR (tap.amount_fen = 0 AND tap.ride <> 2 AND fare.price_fen > 0) AS out_of_bounds,
       tap.presented_day - tap.tap_day > night.window_days AS too_late,
       night.business_day - tap.tap_day > night.window_days AS window_over
FROM tap
CROSS JOIN night
JOIN place ON place.no = tap.no
LEFT JOIN fare ON fare.no = tap.no
WHERE NOT tap.malformed
