// A model's life by the AWS SDK for JavaScript. Usage: node story.js URL MODEL.tar.gz
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import * as sm from "@aws-sdk/client-sagemaker";
import { InvokeEndpointCommand, SageMakerRuntimeClient } from "@aws-sdk/client-sagemaker-runtime";

const [, , endpoint, archive] = process.argv;
const here = { endpoint, region: "eu-west-1" };
const s3 = new S3Client({ ...here, forcePathStyle: true });
const sagemaker = new sm.SageMakerClient(here);
const runtime = new SageMakerRuntimeClient(here);

await s3.send(new CreateBucketCommand({ Bucket: "script" }));
await s3.send(new PutObjectCommand({ Bucket: "script", Key: "model.tar.gz", Body: readFileSync(archive) }));
await s3.send(new PutObjectCommand({ Bucket: "script", Key: "a b/ü", Body: "hello" }));
const got = await s3.send(new GetObjectCommand({ Bucket: "script", Key: "a b/ü" }));
assert.equal(await got.Body.transformToString(), "hello");
const listed = await s3.send(new ListObjectsV2Command({ Bucket: "script" }));
assert.deepEqual(listed.Contents.map((item) => item.Key), ["a b/ü", "model.tar.gz"]);

const name = "script";
const container = { Image: "any", ModelDataUrl: "s3://script/model.tar.gz" };
const variant = { VariantName: "A", ModelName: name, InitialInstanceCount: 1, InstanceType: "ml.m5.large" };
await sagemaker.send(new sm.CreateModelCommand({ ModelName: name, PrimaryContainer: container }));
await sagemaker.send(new sm.CreateEndpointConfigCommand({ EndpointConfigName: name, ProductionVariants: [variant] }));
await sagemaker.send(new sm.CreateEndpointCommand({ EndpointName: name, EndpointConfigName: name }));
const patience = { client: sagemaker, minDelay: 1, maxDelay: 1, maxWaitTime: 30 };
assert.equal((await sm.waitUntilEndpointInService(patience, { EndpointName: name })).state, "SUCCESS");

const rows = { EndpointName: name, ContentType: "application/json", Body: '{"instances": [[1, 2, 3]]}' };
const reply = await runtime.send(new InvokeEndpointCommand(rows));
assert.equal(reply.InvokedProductionVariant, "A");
assert.deepEqual(JSON.parse(new TextDecoder().decode(reply.Body)).predictions, [1]);

const models = [];
for await (const page of sm.paginateListModels({ client: sagemaker }, {})) models.push(...page.Models);
assert.deepEqual(models.map((model) => model.ModelName), [name]);
await assert.rejects(sagemaker.send(new sm.DescribeModelCommand({ ModelName: "none" })), { name: "ValidationException" });
await assert.rejects(runtime.send(new InvokeEndpointCommand({ ...rows, EndpointName: "none" })), { name: "ValidationError" });
console.log("all of it");
