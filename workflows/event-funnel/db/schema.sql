-- The tables that the workflows read and write, for PostgreSQL and for its SQLite stand-in.

create table contacts (
    id text primary key,
    first_name text not null,
    email text,
    phone text,
    email_consent boolean not null default false,
    sms_consent boolean not null default false
);

create table events (
    id text primary key,
    title text not null,
    scheduled_at timestamptz not null,
    status text not null default 'scheduled'
        check (status in ('scheduled', 'postponed', 'cancelled', 'completed'))
);

-- reminders_sent is a JSON array of {type, sent_at, channel, message_id}; it is text so that one statement appends
-- to it on both databases.
create table registrations (
    id text primary key,
    event_id text not null references events (id),
    contact_id text not null references contacts (id),
    attended boolean not null default false,
    reminders_sent text not null default '[]',
    unique (event_id, contact_id)
);

-- One row per message: queued before it is handed to the provider, then sent or failed.
create table sent_messages (
    id text primary key,
    contact_id text not null references contacts (id),
    registration_id text references registrations (id),
    channel text not null check (channel in ('email', 'sms')),
    template_id text not null,
    status text not null check (status in ('queued', 'sent', 'failed')),
    error text,
    provider text,
    provider_id text unique,
    body_text text,
    queued_at timestamptz not null,
    sent_at timestamptz
);
