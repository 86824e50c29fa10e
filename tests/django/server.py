"""Django OAuth Toolkit as an OpenID provider, in the directory where it is started: PORT, SECONDS of an access token."""

import os
import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

KEY, DATABASE = Path("key.pem"), Path("database")
APPS = ["auth", "contenttypes"]
urlpatterns = []


def main(port, seconds):
    is_new = not DATABASE.exists()
    if is_new:
        KEY.write_bytes(new_key())
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=[*(f"django.contrib.{app}" for app in APPS), "oauth2_provider"],
        # Tables as they are today, without the history of how they came about.
        MIGRATION_MODULES={app: None for app in [*APPS, "oauth2_provider"]},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATABASE)}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        OAUTH2_PROVIDER={
            "ACCESS_TOKEN_EXPIRE_SECONDS": seconds,
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": os.environ["ISSUER"],
            "OIDC_RSA_PRIVATE_KEY": KEY.read_text(),
            "SCOPES": {"openid": "", "read": ""},
        },
    )
    django.setup()
    urlpatterns.append(path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")))
    if is_new:
        fill()
    make_server("127.0.0.1", port, get_wsgi_application()).serve_forever()


def new_key():
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return rsa.generate_private_key(65537, 2048).private_bytes(*encoding)


def fill():
    call_command("migrate", run_syncdb=True, verbosity=0)
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    user = User.objects.create_user("job", password=os.environ["USER_PASSWORD"])
    Application.objects.create(
        client_id="job",
        client_secret=os.environ["CLIENT_SECRET"],
        client_type="confidential",
        authorization_grant_type="password",
        algorithm="RS256",
        user=user,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
