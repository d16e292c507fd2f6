import { describeClient } from './describe-client.ts';
import { python } from './languages/python.ts';

await describeClient(python);
