-- The first that applies, of each tap that is not simply accepted at what it took; and of those accepted though their TAC
-- is wrong, in another city, or at another price. A tap that is not in `own` has nothing unusual by itself, and its price
-- is what it took; of one that is not in `closer` it is true what that says of any other.
-- `chained` taps are those that the card made, whatever becomes of their money.
-- Of a card that another city answers for (`routed`) all is asked here but what only its issuer can know.
SELECT judged.no, judged.verdict, judged.abroad, judged.tac_ok, judged.chained, judged.window_over,
       judged.amount_fen, judged.price_fen
FROM (SELECT COALESCE(own.no, closer.no) AS no,
             CASE WHEN own.malformed THEN 'malformed'
                  WHEN closer.duplicate THEN 'duplicate'
                  WHEN own.device_unknown THEN 'device_unknown'
                  WHEN own.device_withdrawn THEN 'device_withdrawn'
                  WHEN NOT closer.card_known AND NOT closer.routed THEN 'card_unknown'
                  WHEN NOT closer.believed AND NOT closer.routed THEN 'tac_wrong'
                  WHEN closer.in_conflict THEN 'counter_conflict'
                  WHEN own.hotlisted THEN 'hotlisted'
                  WHEN own.not_yet_valid THEN 'card_not_yet_valid'
                  WHEN own.expired THEN 'card_expired'
                  WHEN own.listed AND NOT COALESCE(closer.routed, FALSE) THEN 'hotlisted_grace'
                  WHEN own.too_late THEN 'too_late'
                  WHEN own.out_of_bounds THEN 'amount_out_of_bounds'
                  WHEN closer.routed THEN 'routed'
                  WHEN closer.gap THEN 'balance_gap'
                  ELSE 'accepted' END AS verdict,
             COALESCE(own.abroad, FALSE) AS abroad,
             NOT COALESCE(own.malformed, FALSE) AND COALESCE(closer.tac_ok, TRUE) AS tac_ok,
             NOT COALESCE(own.malformed, FALSE) AND COALESCE(closer.chained, TRUE) AS chained,
             COALESCE(own.window_over, FALSE) AS window_over,
             COALESCE(own.amount_fen, closer.amount_fen) AS amount_fen,
             CASE WHEN own.no IS NULL THEN closer.amount_fen ELSE own.price_fen END AS price_fen
      FROM own
      FULL JOIN closer ON closer.no = own.no) judged
WHERE judged.verdict <> 'accepted' OR NOT judged.tac_ok OR judged.abroad
   OR judged.price_fen IS NULL OR judged.price_fen <> judged.amount_fen
