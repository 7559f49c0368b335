-- Did the card really make this tap? Its TAC says so; failing that, once a night has passed, the card's next
-- tap does, when it began with just the balance that this one left. Such a next tap is looked for only of cards one of
-- whose taps waits for it.
WITH heard AS (
    SELECT looked.no, looked.retried, looked.card_head, looked.card_tail, looked.counter,
           looked.balance_before_fen, looked.amount_fen, looked.at_s,
           COALESCE(NOT own.device_unknown AND NOT own.device_withdrawn, TRUE) AS registered,
           card.card_tail IS NOT NULL AS card_known, copies.no IS NOT NULL AS duplicate,
           COALESCE(tac.tac_ok, TRUE) AS tac_ok
    FROM looked
    LEFT JOIN copies ON copies.no = looked.no
    LEFT JOIN own ON own.no = looked.no
    LEFT JOIN card
      ON card.card_tail = looked.card_tail AND card.card_head = looked.card_head
     AND card.issuer_no = looked.issuer_no
    LEFT JOIN tac ON tac.no = looked.no
)
SELECT heard.no, heard.card_head, heard.card_tail, heard.counter, heard.balance_before_fen, heard.amount_fen,
       heard.at_s, heard.registered, heard.card_known, heard.duplicate, heard.tac_ok,
       heard.tac_ok OR proof.no IS NOT NULL AS believed
FROM heard
LEFT JOIN (SELECT DISTINCT grey.no
           FROM heard grey
           JOIN (SELECT card_head, card_tail, counter, balance_before_fen
                 FROM heard
                 WHERE NOT duplicate AND card_known AND tac_ok
                   AND card_tail IN (SELECT card_tail FROM looked WHERE retried)
                 UNION ALL
                 SELECT card_head, card_tail, counter, balance_before_fen
                 FROM earlier WHERE tac_ok AND believed) successor
             ON successor.card_tail = grey.card_tail AND successor.card_head = grey.card_head
            AND successor.counter = grey.counter + 1
            AND successor.balance_before_fen = grey.balance_before_fen - grey.amount_fen
           WHERE grey.retried AND NOT grey.tac_ok) proof
  ON proof.no = heard.no
