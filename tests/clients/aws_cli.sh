#!/usr/bin/env bash
# Buckets, copies, synchronisation, presigned URLs, and a model's life: the aws CLI. Usage: aws_cli.sh AWS MODEL.tar.gz
set -euo pipefail
aws=$1 model=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$aws" s3 mb s3://cli
head -c 20000000 /dev/urandom > "$work/large"
"$aws" s3 cp "$work/large" s3://cli/folder/large --no-progress
"$aws" s3 cp s3://cli/folder/large "$work/back" --no-progress
cmp "$work/large" "$work/back"
mkdir -p "$work/sync/a"
echo one > "$work/sync/a/b c.txt"
echo two > "$work/sync/d.txt"
[ "$("$aws" s3 sync "$work/sync" s3://cli/sync --no-progress | wc -l)" = 2 ]
[ "$("$aws" s3 sync "$work/sync" s3://cli/sync --no-progress | wc -l)" = 0 ]
"$aws" s3 mv s3://cli/folder/large s3://cli/moved --no-progress
[ "$("$aws" s3 ls s3://cli --recursive | wc -l)" = 3 ]

"$aws" s3 cp "$model" s3://cli/model.tar.gz --no-progress
"$aws" sagemaker create-model --model-name cli --primary-container ModelDataUrl=s3://cli/model.tar.gz,Image=any
"$aws" sagemaker create-endpoint-config --endpoint-config-name cli --production-variants \
  VariantName=A,ModelName=cli,InitialInstanceCount=1,InstanceType=ml.m5.large
"$aws" sagemaker create-endpoint --endpoint-name cli --endpoint-config-name cli
for _ in $(seq 50); do
  status=$("$aws" sagemaker describe-endpoint --endpoint-name cli --query EndpointStatus --output text)
  [ "$status" = Creating ] || break
done
[ "$status" = InService ]
echo '{"instances": [[1, 2, 3]]}' > "$work/rows.json"
"$aws" sagemaker-runtime invoke-endpoint --endpoint-name cli --content-type application/json \
  --body "fileb://$work/rows.json" "$work/answer.json" > /dev/null
grep -q '"predictions":\[1\]' "$work/answer.json"
! "$aws" sagemaker describe-endpoint --endpoint-name none 2> "$work/error"
grep -q 'ValidationException.*Could not find endpoint' "$work/error"
"$aws" sagemaker delete-endpoint --endpoint-name cli
[ "$("$aws" sts get-caller-identity --query Account --output text)" = 123456789012 ]
"$aws" s3 rm s3://cli --recursive > /dev/null
"$aws" s3 rb s3://cli
echo "all of it"
