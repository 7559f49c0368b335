-- Taps that a tariff cannot tell apart are priced once: one of each kind stands for all. `fare_kind` is all that
-- tells them apart beside their day: ride, holder class, flags and list fare.
SELECT MIN(no) AS no, tap_day, fare_kind
FROM tap
WHERE NOT malformed
GROUP BY tap_day, fare_kind
