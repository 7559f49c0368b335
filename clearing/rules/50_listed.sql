-- Was the card on the hotlist when the tap was made, and had the device to hold that list by then?
SELECT tap.no,
       CASE WHEN tap.at_s >= hotlist.effective_s THEN 'effective' ELSE 'grace' END AS listing
FROM tap
JOIN hotlist ON hotlist.card_no = tap.card_no
WHERE tap.at_s >= hotlist.listed_s
