import { describeClient } from './describe-client.ts';
import { rust } from './languages/rust.ts';

await describeClient(rust);
