-- What is unusual of a tap by itself, whatever else its card did: a row a tap that has anything of it. Every other tap was
-- taken by a terminal that was its operator's then, from a card that is valid and on no list, is new and in time,
-- and took the tariff's price and no more than it may.
-- Out of bounds is what could not have been charged here: above the tariff's or the device's limit, nothing for a
-- ride that costs something, or a day that no tariff covers.
-- The price is that of the tap's kind, or where the city has fare tariffs (`history_fare`) the card's own. Of our
-- cards' taps in another city (`place.abroad`) it is what was taken there, up to what its centre may charge.
SELECT tap.no, tap.malformed, tap.amount_fen,
       place.terminal_no IS NULL AS device_unknown,
       COALESCE(NOT place.registered, FALSE) AS device_withdrawn,
       COALESCE(tap.at_s >= hotlist.listed_s AND tap.at_s >= hotlist.effective_s, FALSE) AS hotlisted,
       COALESCE(tap.at_s >= hotlist.listed_s, FALSE) AS listed,
       COALESCE(tap.at_s < validity.valid_from_s, FALSE) AS not_yet_valid,
       COALESCE(tap.at_s >= validity.valid_to_s, FALSE) AS expired,
       COALESCE(tap.presented_day - tap.tap_day > night.window_days, FALSE) AS too_late,
       COALESCE(tap.amount_fen > place.limit_fen
         OR tap.amount_fen < 0
         OR (NOT place.abroad
             AND (COALESCE(bounds.max_fare_fen, history.max_fare_fen) IS NULL
               OR tap.amount_fen > COALESCE(bounds.max_fare_fen, history.max_fare_fen)
               OR (tap.amount_fen = 0 AND NOT bounds.takes_nothing
                   AND COALESCE(bounds.price_fen, history.price_fen) > 0))), FALSE) AS out_of_bounds,
       COALESCE(place.abroad, FALSE) AS abroad,
       tap.retried AND COALESCE(night.business_day - tap.tap_day > night.window_days, FALSE) AS window_over,
       CASE WHEN place.abroad THEN tap.amount_fen
            ELSE COALESCE(bounds.price_fen, history.price_fen) END AS price_fen
FROM tap
CROSS JOIN night
LEFT JOIN place
  ON place.terminal_no = tap.terminal_no AND place.operator = tap.operator
 AND place.from_s <= tap.at_s AND tap.at_s < place.until_s
LEFT JOIN hotlist ON hotlist.card_tail = tap.card_tail AND hotlist.card_head = tap.card_head
LEFT JOIN validity
  ON validity.card_tail = tap.card_tail AND validity.card_head = tap.card_head
 AND validity.issuer_no = tap.issuer_no
LEFT JOIN (SELECT no, max_fare_fen, price_fen FROM history_fare WHERE price_fen IS NOT NULL) history
  ON history.no = tap.no
LEFT JOIN bounds ON bounds.fare_kind = tap.fare_kind AND bounds.tap_day = tap.tap_day
WHERE tap.malformed OR tap.retried OR place.terminal_no IS NULL OR NOT place.registered OR place.abroad
   OR hotlist.card_tail IS NOT NULL OR validity.card_tail IS NOT NULL
   OR tap.presented_day - tap.tap_day > night.window_days
   OR tap.amount_fen > place.limit_fen OR tap.amount_fen < 0
   OR COALESCE(bounds.max_fare_fen, history.max_fare_fen, -1) < tap.amount_fen
   OR COALESCE(bounds.price_fen, history.price_fen, -1) <> tap.amount_fen
