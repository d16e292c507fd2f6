import { type File as StoredFile, UploadError, type UploadOptions, uploadMany } from 'file-service-client';
import { files, upload } from './upload.ts';

const choose = find<HTMLInputElement>('#choose');
const uploads = find('#uploads');
const list = find('#files');
/** Tests choose the options of the uploads. */
const options: Pick<UploadOptions, 'multipartFromBytes' | 'retryForMs'> = JSON.parse(
  new URLSearchParams(location.search).get('options') ?? '{}',
);

choose.addEventListener('change', () => {
  const chosen = [...(choose.files ?? [])];
  if (chosen.length > 1) void showUploads(chosen);
  else for (const file of chosen) void showUpload(file);
  // Without this, the browser sends no event when the user chooses the same file again.
  choose.value = '';
});
void showFiles();

async function showUpload(file: File): Promise<void> {
  const bar = document.createElement('progress');
  const state = document.createElement('output');
  const cancel = button('Cancel', async () => {});
  uploads.append(item(file.name, bar, cancel, state));
  try {
    state.textContent = await upload(file, bar, cancel, options);
  } catch (error) {
    const reason = error instanceof UploadError ? `${error.reason}: ` : '';
    state.textContent = reason + (error instanceof Error ? error.message : String(error));
  }
  await showFiles();
}

async function showUploads(chosen: File[]): Promise<void> {
  const state = document.createElement('output');
  uploads.append(item(`${chosen.length} files`, state));
  const items = chosen.map((source) => ({ source }));
  const { uploaded, existing, failed } = await uploadMany(files, items, options);
  state.textContent = `${uploaded} uploaded, ${existing} already there, ${failed} failed`;
  await showFiles();
}

async function showFiles(): Promise<void> {
  list.ariaBusy = 'true';
  const { files: yours } = await files.listFiles({});
  list.replaceChildren(
    ...yours.map((file) =>
      item(
        `${file.filename} (${file.size} bytes)`,
        button('Download', () => download(file)),
        button('Delete', () => remove(file)),
      ),
    ),
  );
  list.ariaBusy = 'false';
}

async function download({ s3Key }: StoredFile): Promise<void> {
  const { presignedUrl } = await files.createPresignedDownload({ s3Key });
  // The answer is an attachment, so the browser stays on the page.
  location.assign(presignedUrl);
}

async function remove({ s3Key }: StoredFile): Promise<void> {
  await files.deleteFile({ s3Key });
  await showFiles();
}

function item(text: string, ...elements: HTMLElement[]): HTMLElement {
  const line = document.createElement('li');
  const label = document.createElement('span');
  label.textContent = text;
  line.append(label, ' ', ...elements);
  return line;
}

function button(text: string, act: () => Promise<void>): HTMLButtonElement {
  const element = document.createElement('button');
  element.textContent = text;
  element.addEventListener('click', () => void act());
  return element;
}

function find<Element extends HTMLElement>(selector: string): Element {
  const element = document.querySelector<Element>(selector);
  if (element === null) throw new Error(`the page has no ${selector}`);
  return element;
}
