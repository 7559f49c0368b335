-- The tariff's price of every tap whose day it covers, in fen. Of two tariffs in force the later one holds.
-- Where the city has fare tariffs there are no simple ones here: prices are made of the cards' histories, before.
-- Full fare pays the list fare; a class with a share of its own pays that share; all others pay band by band,
-- less the linked trip's discount and never less than nothing. One rounding, half up, from hundredths of a
-- hundredth of a fen; the dividend is made divisible first, so that no engine rounds by itself.
SELECT no, max_fare_fen,
       CASE WHEN full_fare THEN list_fare_fen
            WHEN class_pay_bp IS NOT NULL THEN rounded_fen
            WHEN linked AND rounded_fen < linked_discount_fen THEN 0
            WHEN linked THEN rounded_fen - linked_discount_fen
            ELSE rounded_fen END AS price_fen
FROM (SELECT due.*, CAST((due_bp + 5000 - (due_bp + 5000) % 10000) / 10000 AS BIGINT) AS rounded_fen
      FROM (SELECT tap.no, tap.full_fare, tap.linked, tap.list_fare_fen, ride.max_fare_fen,
                   tariff.linked_discount_fen, holder.pay_bp AS class_pay_bp,
                   CASE WHEN holder.pay_bp IS NOT NULL THEN tap.list_fare_fen * holder.pay_bp
                        ELSE COALESCE(banded.due_bp, 0) END AS due_bp
            FROM tap
            JOIN (SELECT days.tap_day, tariff.*,
                         ROW_NUMBER() OVER (PARTITION BY days.tap_day
                                            ORDER BY tariff.valid_from_day DESC, tariff.version DESC,
                                                     tariff.tariff_no) AS place
                  FROM (SELECT DISTINCT tap_day FROM tap WHERE NOT malformed) days
                  JOIN tariff ON days.tap_day BETWEEN tariff.valid_from_day AND tariff.valid_to_day) tariff
              ON tariff.tap_day = tap.tap_day AND tariff.place = 1
            JOIN tariff_ride ride ON ride.tariff_no = tariff.tariff_no AND ride.ride = tap.ride
            JOIN tariff_class holder
              ON holder.tariff_no = tariff.tariff_no AND holder.holder_class = tap.holder_class
            LEFT JOIN (SELECT fares.list_fare_fen, band.tariff_no, band.ride,
                              CAST(SUM((CASE WHEN fares.list_fare_fen < band.top_fen THEN fares.list_fare_fen
                                             ELSE band.top_fen END - band.floor_fen) * band.pay_bp) AS BIGINT)
                                AS due_bp
                       FROM (SELECT DISTINCT ride, list_fare_fen FROM tap WHERE NOT malformed) fares
                       JOIN tariff_band band
                         ON band.ride = fares.ride AND fares.list_fare_fen > band.floor_fen
                       GROUP BY fares.list_fare_fen, band.tariff_no, band.ride) banded
              ON banded.tariff_no = tariff.tariff_no
             AND banded.ride = tap.ride
             AND banded.list_fare_fen = tap.list_fare_fen
            WHERE NOT tap.malformed) due) priced
