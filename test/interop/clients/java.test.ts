import { describeClient } from './describe-client.ts';
import { java } from './languages/java.ts';

await describeClient(java);
