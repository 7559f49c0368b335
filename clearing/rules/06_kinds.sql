-- Taps that a tariff cannot tell apart are priced once: one of each kind stands for all.
SELECT MIN(no) AS no, tap_day, ride, holder_class, full_fare, linked, list_fare_fen, FALSE AS malformed
FROM tap
WHERE NOT malformed
GROUP BY tap_day, ride, holder_class, full_fare, linked, list_fare_fen
ORDER BY no
