-- Was the terminal this operator's when it took the tap, and is the card one of ours?
SELECT tap.no,
       CASE WHEN COUNT(device.terminal) = 0 THEN 'unknown'
            WHEN MAX(CASE WHEN tap.at_s < device.valid_to_s THEN 1 ELSE 0 END) = 0 THEN 'withdrawn'
            ELSE 'registered' END AS device_state,
       MIN(CASE WHEN tap.at_s < device.valid_to_s THEN device.max_amount_fen END) AS device_limit_fen,
       COUNT(card.card_no) > 0 AS card_known
FROM tap
LEFT JOIN device
  ON device.terminal = tap.terminal AND device.operator = tap.operator AND device.valid_from_s <= tap.at_s
LEFT JOIN card
  ON card.card_no = tap.card_no AND card.issuer = tap.issuer
GROUP BY tap.no
