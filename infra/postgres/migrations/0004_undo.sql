-- 0004: events can be taken back. The archive keeps both records as they were; reports see neither.

-- Records that take an event back; bit 2 of the flags at byte 2 of a record says so.
CREATE INDEX events_undo ON reco.events (stream, user_id, event_id) WHERE record_type = 'event' AND get_byte(raw, 2) & 4 <> 0;

-- Events with the name of their stream, without ticks and without what was taken back: what most reports want.
CREATE OR REPLACE VIEW reco.history AS
    SELECT s.space, s.stream_id, e.* FROM reco.events e JOIN reco.streams s USING (stream)
    WHERE e.record_type = 'event' AND get_byte(e.raw, 2) & 4 = 0
        AND NOT EXISTS (SELECT FROM reco.events u WHERE u.stream = e.stream AND u.user_id = e.user_id AND u.event_id = e.event_id
            AND u.record_type = 'event' AND get_byte(u.raw, 2) & 4 <> 0);

INSERT INTO reco.migrations (version, name) VALUES (4, 'undo');
