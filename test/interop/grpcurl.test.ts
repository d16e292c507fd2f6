import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, fromJsonString, toJsonString } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { FileService, UploadType } from '../../gen/files/v1/file_service_pb.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { newUser } from '../harness/random.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { output, run } from './command.ts';
import { describeWith } from './describe-with.ts';
import { fromGrpcurl } from './error-details.ts';
import { expectFailuresWithDetails, expectRetryInfo, expectWholeJourney, type Tool } from './journey.ts';
import { startInteropService } from './service.ts';
import { missingPrograms } from './toolchain.ts';

/** grpcurl ends with 64 plus the status code (README of grpcurl, "-format-error"). */
const EXIT_OF_STATUS = 64;
const DEADLINE_EXCEEDED = 4;

describeWith('grpcurl and curl', await missingPrograms('grpcurl', 'curl'), () => {
  const directory = forAllTests(temporaryDirectory);
  const service = forAllTests(startInteropService);

  /** The output of grpcurl with these arguments after the address. */
  const grpcurl = (...words: string[]) => output('grpcurl', ['-plaintext', service.grpc, ...words]);
  const lines = async (...words: string[]) => (await grpcurl(...words)).trim().split('\n');

  const tool: Tool = {
    async call(method, request, user) {
      const { code, stdout, stderr } = await run('grpcurl', [
        ...['-plaintext', '-format-error'],
        ...(user === undefined ? [] : ['-H', `x-user-id: ${user}`]),
        ...['-d', toJsonString(method.input, create(method.input, request))],
        ...[service.grpc, `${method.parent.typeName}/${method.name}`],
      ]);
      if (code !== 0) throw fromGrpcurl(stderr);
      return fromJsonString(method.output, stdout);
    },

    async put({ presignedUrl, requiredHeaders }, bytes) {
      const path = join(directory.path, 'bytes');
      await writeFile(path, bytes);
      const headers = Object.entries(requiredHeaders).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
      const printed = ['-sS', '-o', '/dev/null', '-w', '%{http_code}'];
      return Number(await output('curl', [...printed, '-T', path, ...headers, presignedUrl]));
    },

    async get(url) {
      const path = join(directory.path, 'downloaded');
      const format = '%{http_code} %header{content-disposition}';
      const printed = await output('curl', ['-sS', '-o', path, '-w', format, url]);
      const space = printed.indexOf(' ');
      return {
        status: Number(printed.slice(0, space)),
        disposition: printed.slice(space + 1),
        bytes: await readFile(path, 'utf8'),
      };
    },
  };

  describe('by reflection, without the protos', () => {
    test('lists the services', async () => {
      expect(await lines('list')).toEqual([
        'files.v1.FileService',
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ]);
    });

    test('lists the methods', async () => {
      const methods = FileService.methods.map(({ name }) => `files.v1.FileService.${name}`);
      expect(await lines('list', 'files.v1.FileService')).toEqual(methods.sort());
    });

    test('describes the service', async () => {
      expect(await grpcurl('describe', 'files.v1.FileService')).toContain(
        'rpc ListFiles ( .files.v1.ListFilesRequest ) returns ( .files.v1.ListFilesResponse );',
      );
    });

    test('describes a message', async () => {
      expect(await grpcurl('describe', 'files.v1.CreatePresignedUploadRequest')).toContain(
        'string filename = 1;\n  string mime_type = 2;\n  string md5 = 3;\n  optional int64 size = 4;',
      );
    });

    test('describes the error reasons', async () => {
      expect(await grpcurl('describe', 'files.v1.ErrorReason')).toContain('ERROR_REASON_INVALID_MD5 = 6;');
    });

    test.each(['ErrorInfo', 'BadRequest', 'RetryInfo'])(
      'describes the detail google.rpc.%s',
      async (name) => {
        expect(await grpcurl('describe', `google.rpc.${name}`)).toContain(`message ${name} {`);
      },
    );
  });

  describe('health', () => {
    test.each(['', 'files.v1.FileService'])('Check of "%s" returns SERVING', async (asked) => {
      const request = JSON.stringify({ service: asked });
      const printed = await output('grpcurl', [
        ...['-plaintext', '-d', request],
        ...[service.grpc, 'grpc.health.v1.Health/Check'],
      ]);
      expect(JSON.parse(printed)).toEqual({ status: 'SERVING' });
    });

    test('Watch sends the present status at once, and stays open', async () => {
      const { code, stdout } = await run('grpcurl', [
        ...['-plaintext', '-max-time', '1', '-d', '{"service": "files.v1.FileService"}'],
        ...[service.grpc, 'grpc.health.v1.Health/Watch'],
      ]);
      expect(JSON.parse(stdout)).toEqual({ status: 'SERVING' });
      expect(code).toBe(EXIT_OF_STATUS + DEADLINE_EXCEEDED);
    });
  });

  describe('calls', () => {
    test.each(['2942bfabb3d05332b66eb128e0842cff', 'KUK/q7PQUzK2brEo4IQs/w=='])(
      'CreatePresignedUpload returns the key and the base64 MD5 for the MD5 %s',
      async (md5) => {
        const upload = await tool.call(
          FileService.method.createPresignedUpload,
          { filename: 'document.pdf', mimeType: 'application/pdf', md5 },
          '651eb6e11d156e0d7a42c59d',
        );
        expect(upload).toMatchObject({
          type: UploadType.NEW,
          s3Key: '651eb6e11d156e0d7a42c59d_document.pdf',
          md5: 'KUK/q7PQUzK2brEo4IQs/w==',
        });
      },
    );

    test('upload, list, download and delete a file, with curl for the bytes', () =>
      expectWholeJourney(tool, newUser()));
    test('print the details of errors', () => expectFailuresWithDetails(tool, newUser()));
  });

  // The last test, because the service loses its database for good.
  test('print RetryInfo when the database is down', async () => {
    await service.servers.loseDatabase();
    await expectRetryInfo(tool, newUser());
  });
});
