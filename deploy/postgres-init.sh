# Read once by the postgres image, when the volume is new. The server's login owns its database and may create roles,
# which the migrations need for the role signalbox_app; it is no superuser.
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\getenv password SIGNALBOX_DATABASE_PASSWORD
CREATE ROLE signalbox LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE signalbox OWNER signalbox;
SQL
