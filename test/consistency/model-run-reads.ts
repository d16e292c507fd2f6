/** The steps that read files: lists, single files, batches and downloads. */
import type { ModelFile } from './model.ts';
import { counts, type Run } from './model-run-state.ts';
import type { Step } from './model-steps.ts';

interface Walk {
  user: string;
  pageSize: number;
  token: string;
  /** The files at the start of the walk. */
  began: Place[];
  seen: Place[];
}

/**
 * A file at its position in the list. A file that is lost and uploaded again gets another position, and
 * counts as another entry.
 */
type Place = ReturnType<typeof placeOf>;
const placeOf = ({ key, lastModifiedMs }: ModelFile) => ({ key, lastModifiedMs });

export function readSteps(run: Run) {
  const {
    fixture,
    id,
    users,
    model,
    owners,
    check,
    equal,
    isOwn,
    outcome,
    expectNotFound,
    expectShown,
    keyAndUser,
  } = run;
  const walks = new Map<string, Walk>();

  async function list({ user: index, pageSize, prefix }: Step & { do: 'list' }): Promise<string> {
    const user = users[index] ?? id;
    model.verifyPending(user, prefix, fixture.now());
    const ought = model.listed(user, prefix);
    const files = [];
    for (let pageToken = ''; ; ) {
      const page = await fixture.list(user, { pageSize, pageToken, filenamePrefix: prefix });
      files.push(...page.files);
      check(pageSize === 0 || page.files.length <= pageSize, 'a page is larger than asked for');
      if (page.nextPageToken === '') break;
      if (page.files.length < (pageSize || 100)) counts.pagesShort++;
      pageToken = page.nextPageToken;
    }
    const label = `${user} lists "${prefix}*" by ${pageSize}`;
    for (const file of files) isOwn(user, file.s3Key);
    equal(
      label,
      files.map((file) => file.s3Key),
      ought.map((file) => file.key),
    );
    for (const [i, file] of ought.entries()) expectShown(label, files[i] ?? {}, file);
    return `${label}: ${files.length}`;
  }

  /** Reads the next page of a walk that may have begun long ago, or begins a walk. */
  async function page({ user: index, pageSize }: Step & { do: 'page' }): Promise<string> {
    const user = users[index] ?? id;
    const nowMs = fixture.now();
    let walk = walks.get(user);
    if (walk === undefined) {
      model.verifyPending(user, '', nowMs);
      walk = { user, pageSize, token: '', began: model.listed(user, '').map(placeOf), seen: [] };
      walks.set(user, walk);
    }
    const { files, nextPageToken } = await fixture.list(user, {
      pageSize: walk.pageSize,
      pageToken: walk.token,
      filenamePrefix: '',
    });
    const label = `${user} reads ${walk.token === '' ? 'a first' : 'the next'} page`;
    for (const file of files) {
      const known = model.fileOf(user, file.s3Key);
      check(known?.state === 'ready', `${label}: ${file.s3Key} is not READY`);
      if (known) expectShown(label, file, known);
      walk.seen.push({ key: file.s3Key, lastModifiedMs: file.lastModified.getTime() });
    }
    walk.token = nextPageToken;
    if (nextPageToken === '') {
      walks.delete(user);
      const names = walk.seen.map((place) => JSON.stringify(place));
      equal(`${label}: a file came twice`, new Set(names).size, names.length);
      const still = new Set(model.listed(user, '').map((file) => JSON.stringify(placeOf(file))));
      const skipped = walk.began
        .map((place) => JSON.stringify(place))
        .filter((place) => still.has(place) && !names.includes(place));
      equal(`${label}: the last page, but files were skipped`, skipped, []);
    }
    return `${label}: ${files.length}`;
  }

  async function get(step: Step & { do: 'get' }): Promise<string | undefined> {
    const of = keyAndUser(step);
    if (of === undefined) return undefined;
    const rule = model.get(of.user, of.key, fixture.now());
    const took = await outcome(fixture.get(of.user, of.key));
    const label = `${of.user} gets ${of.key}`;
    if (rule.found !== undefined) {
      check('answer' in took, `${label}: refused`, took, rule);
      if ('answer' in took) expectShown(label, took.answer, rule.found);
      return `${label}: ${rule.found.state}`;
    }
    expectNotFound(label, took, of.key, rule.mismatch);
    return `${label}: ${rule.mismatch ? 'other bytes' : 'not found'}`;
  }

  /** Asks for the keys of all users. The answer has the user's own files in the order of the keys. */
  async function getMany(step: Step & { do: 'get many' }): Promise<string | undefined> {
    const user = users[step.user] ?? id;
    const keys = [...owners.keys()];
    if (keys.length === 0) return undefined;
    const found = keys.flatMap((key) => {
      const file = model.fileOf(user, key);
      if (file?.state === 'pending') model.verify(file, fixture.now());
      return file === undefined || (file.state === 'pending' && file.lost) ? [] : file;
    });
    const { files, unverifiedUploads } = await fixture.getMany(user, keys);
    const label = `${user} gets ${keys.length} keys`;
    equal(
      `${label}: the keys`,
      files.map(({ s3Key }) => s3Key),
      found.map(({ key }) => key),
    );
    equal(`${label}: unverified`, unverifiedUploads, 0);
    found.forEach((file, index) => {
      expectShown(label, files[index] ?? {}, file);
    });
    return `${label}: ${found.length} found`;
  }

  async function download(step: Step & { do: 'download' }): Promise<string | undefined> {
    const of = keyAndUser(step);
    if (of === undefined) return undefined;
    const rule = model.get(of.user, of.key, fixture.now());
    const took = await outcome(fixture.download(of.user, of.key));
    const label = `${of.user} downloads ${of.key}`;
    if (rule.found === undefined) {
      expectNotFound(label, took, of.key, rule.mismatch);
      return `${label}: refused`;
    }
    if (rule.found.state === 'pending') {
      equal(label, 'refused' in took && took.refused.reason, 'UPLOAD_INCOMPLETE');
      return `${label}: incomplete`;
    }
    check('answer' in took, `${label}: refused`, took);
    if (!('answer' in took)) return undefined;
    expectShown(label, took.answer.file, rule.found);
    const response = await fetch(took.answer.download.url);
    const bytes = await response.text();
    const object = model.bucket.get(of.key);
    if (object === undefined) equal(`${label}: within VERIFICATION_TTL_SECONDS`, response.status, 404);
    else equal(`${label}: the bytes`, bytes, object.content);
    return `${label}: ${response.status}`;
  }

  return { list, page, get, getMany, download };
}
