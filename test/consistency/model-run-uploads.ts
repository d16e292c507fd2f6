/** The steps that use upload URLs: whole PUTs, and PUTs that last for some steps. */
import { putTo } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import { counts, type HandedOut, type Run } from './model-run-state.ts';
import type { Step } from './model-steps.ts';

const MINUTE_MS = 60_000;

export function uploadSteps({ fixture, model, urls, underWay, uploaded, check, equal, pick }: Run) {
  /** S3 has answered 200, so the bytes must stay. */
  function landed({ user, key, content, headers }: HandedOut) {
    counts.puts++;
    const lastModifiedMs = Math.floor(fixture.now() / 1_000) * 1_000;
    model.bucket.set(key, {
      content,
      mimeType: headers['Content-Type'] ?? '',
      lastModifiedMs,
      stranger: false,
    });
    if (model.fileOf(user, key) !== undefined) uploaded.set(key, { user, content });
  }

  async function put({ url: fromNewest, how }: Step & { do: 'put' }): Promise<string | undefined> {
    const handed = pick(urls, fromNewest);
    if (handed === undefined) return undefined;
    const { key, content, headers, endMs } = handed;
    const bytes = how === 'right' || how === 'other type' ? content : 'x'.repeat(content.length);
    const sent = {
      ...headers,
      ...(how === 'other digest' && { 'Content-MD5': md5(bytes) }),
      ...(how === 'other type' && { 'Content-Type': 'text/html' }),
    };
    const { status } = await putTo(handed.url, sent, bytes);
    const accepted = how === 'right' && fixture.now() < endMs;
    const label = `PUT ${key} (${how}, ${Math.round((fixture.now() - endMs) / MINUTE_MS)} min after its end)`;
    check((status === 200) === accepted, `${label}: ${status}`);
    if (accepted) landed(handed);
    else counts.putsRefused++;
    return `${label}: ${status}`;
  }

  async function begin({ url: fromNewest }: Step & { do: 'begin' }): Promise<string | undefined> {
    const handed = pick(urls, fromNewest);
    if (handed === undefined) return undefined;
    const upload = await fixture.beginPut(handed.url, handed.headers, handed.content);
    check((typeof upload === 'object') === fixture.now() < handed.endMs, `begin PUT ${handed.key}`, upload);
    if (typeof upload === 'object') underWay.push({ handed, upload });
    else counts.putsRefused++;
    return `begin PUT ${handed.key}: ${typeof upload === 'object' ? 'under way' : upload}`;
  }

  async function land(): Promise<string | undefined> {
    const first = underWay.shift();
    if (first === undefined) return undefined;
    equal(`${first.handed.key} lands`, await first.upload.finish(), 200);
    landed(first.handed);
    if (fixture.now() > first.handed.endMs) counts.putsLate++;
    return `PUT ${first.handed.key} lands`;
  }

  return { put, begin, land };
}
