-- Was the tap made outside the days of the card, which every device reads from the card itself?
SELECT tap.no,
       CASE WHEN tap.at_s < card.valid_from_s THEN 'early' ELSE 'late' END AS validity
FROM tap
JOIN card ON card.card_no = tap.card_no AND card.issuer = tap.issuer
WHERE tap.at_s < card.valid_from_s OR tap.at_s >= card.valid_to_s
