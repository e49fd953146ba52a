-- Made-up people and events, for the stand-in only.

insert into contacts (id, first_name, email, phone, email_consent, sms_consent) values
    ('ada', 'Ada', 'ada@example.org', '+12025550101', true, true),
    ('grace', 'Grace', 'grace@example.org', '+12025550102', true, false),
    ('alan', 'Alan', 'alan@example.org', '+12025550103', true, true),
    ('edsger', 'Edsger', 'edsger@example.org', null, false, false);

insert into events (id, title, scheduled_at, status) values
    ('sound-bath', 'Sound Bath', '2031-05-01T18:00:00Z', 'scheduled'),
    ('breathwork', 'Breathwork Evening', '2031-05-02T18:00:00Z', 'completed');

-- Breathwork Evening: Ada and Edsger came, Grace and Alan did not. Edsger has consented to nothing.
insert into registrations (id, event_id, contact_id, attended) values
    ('sound-bath-ada', 'sound-bath', 'ada', false),
    ('breathwork-ada', 'breathwork', 'ada', true),
    ('breathwork-alan', 'breathwork', 'alan', false),
    ('breathwork-edsger', 'breathwork', 'edsger', true),
    ('breathwork-grace', 'breathwork', 'grace', false);
