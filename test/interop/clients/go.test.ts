import { describeClient } from './describe-client.ts';
import { go } from './languages/go.ts';

await describeClient(go);
