CREATE TABLE events (
  id BIGINT, user_id BIGINT, payload JSON, timestamp TIMESTAMP
) WITH (connector = 'kafka', bootstrap_servers = 'localhost:9092', topic = 'events', type = 'source', format='json', event_time_field='timestamp');
CREATE TABLE out WITH (connector='stdout', type='sink');
CREATE TABLE mid (user_id BIGINT, window_end TIMESTAMP, c INT);
INSERT INTO out
SELECT window.end, user_id, c, payload FROM (
 SELECT hop(interval '2 seconds', interval '10 seconds') as window, user_id, count(*) as c, max(payload.a.b) as payload
 FROM events WHERE payload.x > 5 AND payload.k = 'v' GROUP BY window, user_id HAVING count(*) > 3) w;
INSERT INTO out SELECT max(win_end), 1, count(distinct user_id), tumble(interval '1 minute') as w FROM (SELECT tumble(interval '10 seconds') as win, user_id FROM events group by 1, user_id) GROUP BY 4;
