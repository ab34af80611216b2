#!/bin/sh
# Takes Swagger UI and Redoc anew from their npm packages, in the versions below.
# Their packages' comments name these too.
set -eu
swagger_ui=5.35.0
redoc=3.0.1

cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "swagger-ui-dist@$swagger_ui" "redoc@$redoc" >/dev/null
mkdir "$work/swagger-ui" "$work/redoc"
tar -xzf "$work/swagger-ui-dist-$swagger_ui.tgz" -C "$work/swagger-ui" --strip-components 1
tar -xzf "$work/redoc-$redoc.tgz" -C "$work/redoc" --strip-components 1

for file in swagger-ui-bundle.js swagger-ui.css; do
  gzip -9n <"$work/swagger-ui/$file" >"swagger-ui/$file.gz"
done
cp "$work/swagger-ui/LICENSE" "$work/swagger-ui/NOTICE" "$work/swagger-ui/swagger-ui-bundle.js.LICENSE.txt" swagger-ui/

# Redoc fetches the logo of its makers from their server. Their name stands instead.
name="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='46' height='14'%3E%3Ctext y='11' font-family='sans-serif' font-size='12' fill='%230044d4'%3ERedocly%3C/text%3E%3C/svg%3E"
sed "s|https://cdn.redoc.ly/redoc/logo-mini[a-z-]*.svg|$name|g" "$work/redoc/bundles/redoc.standalone.js" | gzip -9n >redoc/redoc.standalone.js.gz
cp "$work/redoc/LICENSE" redoc/
