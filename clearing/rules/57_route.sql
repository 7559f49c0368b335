-- Which taps are another city's to answer for? Those of cards that are not ours, whose issuer a centre answered for at
-- the instant of the tap. What a centre itself presents goes no further.
SELECT DISTINCT looked.no
FROM looked
JOIN belief ON belief.no = looked.no
JOIN centre_issuer
  ON centre_issuer.issuer_no = looked.issuer_no
 AND centre_issuer.from_s <= looked.at_s AND looked.at_s < centre_issuer.until_s
LEFT JOIN centre ON centre.operator = looked.operator
WHERE NOT belief.card_known AND centre.operator IS NULL
