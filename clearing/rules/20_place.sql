-- When was a terminal an operator's? Its time in periods that do not overlap, each from `from_s` until before
-- `until_s`: registered, or withdrawn from a registration that ended; and the least limit of a tap then, if any.
-- The terminals of another city are registered as long as its centre, which presents their taps, is: `abroad`.
SELECT period.terminal_no, period.operator, period.from_s, period.until_s,
       MAX(CASE WHEN period.from_s < device.valid_to_s THEN 1 ELSE 0 END) = 1 AS registered,
       MIN(CASE WHEN period.from_s < device.valid_to_s THEN device.max_amount_fen END) AS limit_fen,
       FALSE AS abroad
FROM (SELECT terminal_no, operator, at_s AS from_s,
             LEAD(at_s, 1, 1099511627776) OVER (PARTITION BY terminal_no, operator ORDER BY at_s) AS until_s
      FROM (SELECT terminal_no, operator, valid_from_s AS at_s FROM device
            UNION
            SELECT terminal_no, operator, valid_to_s AS at_s FROM device) turn) period
JOIN device
  ON device.terminal_no = period.terminal_no AND device.operator = period.operator
 AND device.valid_from_s <= period.from_s
GROUP BY period.terminal_no, period.operator, period.from_s, period.until_s
UNION ALL
SELECT DISTINCT tap.terminal_no, centre.operator, centre.from_s, centre.until_s, TRUE AS registered, centre.limit_fen,
       TRUE AS abroad
FROM tap
JOIN centre ON centre.operator = tap.operator
