import { describeClient } from './describe-client.ts';
import { PASCAL_CASE, UPPER_CASE } from './language.ts';
import { typescript } from './languages/typescript.ts';

const hostOf = ({ http }: { http: string }) => new URL(http).host;

await describeClient(typescript, [
  { name: 'grpc-js', words: ['grpc-js'], address: ({ grpc }) => grpc, codes: UPPER_CASE },
  { name: 'connect-web', words: ['connect-web'], address: hostOf, codes: PASCAL_CASE },
  { name: 'grpc-web-text', words: ['grpc-web'], address: hostOf, codes: UPPER_CASE },
]);
