-- The first that applies, of each tap that is not simply accepted; and of those accepted though their TAC is wrong,
-- or in another city. A tap of which the closer look (`closer`) found nothing has nothing of what that finds.
-- Out of bounds is what could not have been charged here: above the tariff's or the device's limit, nothing for a
-- ride that costs something, or a day that no tariff covers.
-- The price is that of the tap's kind, or where the city has fare tariffs (`history_fare`) the card's own.
-- `chained` taps are those that the card made, whatever becomes of their money.
-- Of a card that another city answers for (`closer.routed`) all is asked here but what only its issuer can know. Of our
-- cards' taps in another city (`place.abroad`) the price is what was taken there, up to what its centre may charge.
SELECT judged.no, judged.verdict, judged.abroad, judged.tac_ok, judged.chained, judged.window_over
FROM (SELECT tap.no,
             CASE WHEN tap.malformed THEN 'malformed'
                  WHEN closer.duplicate THEN 'duplicate'
                  WHEN place.terminal_no IS NULL THEN 'device_unknown'
                  WHEN NOT place.registered THEN 'device_withdrawn'
                  WHEN NOT closer.card_known AND NOT closer.routed THEN 'card_unknown'
                  WHEN NOT closer.believed AND NOT closer.routed THEN 'tac_wrong'
                  WHEN closer.in_conflict THEN 'counter_conflict'
                  WHEN tap.at_s >= hotlist.listed_s AND tap.at_s >= hotlist.effective_s THEN 'hotlisted'
                  WHEN tap.at_s < validity.valid_from_s THEN 'card_not_yet_valid'
                  WHEN tap.at_s >= validity.valid_to_s THEN 'card_expired'
                  WHEN tap.at_s >= hotlist.listed_s AND NOT COALESCE(closer.routed, FALSE) THEN 'hotlisted_grace'
                  WHEN tap.presented_day - tap.tap_day > night.window_days THEN 'too_late'
                  WHEN tap.amount_fen > place.limit_fen
                    OR tap.amount_fen < 0
                    OR (NOT place.abroad
                        AND (COALESCE(bounds.max_fare_fen, own.max_fare_fen) IS NULL
                          OR tap.amount_fen > COALESCE(bounds.max_fare_fen, own.max_fare_fen)
                          OR (tap.amount_fen = 0 AND NOT bounds.takes_nothing
                              AND COALESCE(bounds.price_fen, own.price_fen) > 0))) THEN 'amount_out_of_bounds'
                  WHEN closer.routed THEN 'routed'
                  WHEN closer.gap THEN 'balance_gap'
                  ELSE 'accepted' END AS verdict,
             COALESCE(place.abroad, FALSE) AS abroad,
             NOT tap.malformed AND COALESCE(closer.tac_ok, TRUE) AS tac_ok,
             NOT tap.malformed AND COALESCE(closer.chained, TRUE) AS chained,
             tap.retried AND COALESCE(night.business_day - tap.tap_day > night.window_days, FALSE) AS window_over
      FROM tap
      CROSS JOIN night
      LEFT JOIN closer ON closer.no = tap.no
      LEFT JOIN place
        ON place.terminal_no = tap.terminal_no AND place.operator = tap.operator
       AND place.from_s <= tap.at_s AND tap.at_s < place.until_s
      LEFT JOIN hotlist ON hotlist.card_tail = tap.card_tail AND hotlist.card_head = tap.card_head
      LEFT JOIN validity
        ON validity.card_tail = tap.card_tail AND validity.card_head = tap.card_head
       AND validity.issuer_no = tap.issuer_no
      LEFT JOIN (SELECT no, max_fare_fen, price_fen FROM history_fare WHERE price_fen IS NOT NULL) own
        ON own.no = tap.no
      LEFT JOIN bounds ON bounds.fare_kind = tap.fare_kind AND bounds.tap_day = tap.tap_day) judged
WHERE judged.verdict <> 'accepted' OR NOT judged.tac_ok OR judged.abroad
