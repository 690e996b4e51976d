create role shop_owner;
create role shop_reader;
create schema shop authorization shop_owner;
set role shop_owner;

create table shop.customer (
  id bigint generated always as identity primary key,
  email text not null unique,
  country text not null,
  joined_on date not null
);
create table shop.product (
  id bigint generated always as identity primary key,
  title text not null,
  price_cents integer not null check (price_cents > 0)
);
create table shop.purchase (
  id bigint generated always as identity primary key,
  customer_id bigint not null references shop.customer (id),
  product_id bigint not null references shop.product (id),
  quantity integer not null check (quantity > 0),
  bought_at timestamptz not null
);
create table shop.refund (
  id bigint generated always as identity primary key,
  purchase_id bigint not null references shop.purchase (id),
  amount_cents integer not null check (amount_cents > 0),
  paid_at timestamptz not null default now()
);

insert into shop.customer (email, country, joined_on)
select 'customer' || n || '@mail.example', (array['NL', 'DE', 'FR', 'PT', 'SE'])[1 + n % 5], date '2024-01-01' + n
  from generate_series(1, 400) n;
insert into shop.product (title, price_cents)
select (array['kettle', 'lamp', 'desk', 'chair', 'shelf', 'mug'])[1 + n % 6] || ' no. ' || n, 500 + 137 * n
  from generate_series(1, 60) n;
insert into shop.purchase (customer_id, product_id, quantity, bought_at)
select 1 + (n * 7) % 400, 1 + (n * 13) % 60, 1 + n % 4, timestamptz '2025-01-01 00:00:00+00' + n * interval '3 hours'
  from generate_series(1, 5000) n;

grant usage on schema shop to shop_reader;
grant select on all tables in schema shop to shop_reader;
reset role;
