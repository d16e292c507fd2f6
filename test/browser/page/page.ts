import { call, type UserFile } from './file-service.ts';
import { upload } from './upload.ts';

const choose = find<HTMLInputElement>('#choose');
const uploads = find('#uploads');
const files = find('#files');
/** Tests configure the service with smaller parts, and tell the page with this parameter. */
const partUnitBytes = Number(new URLSearchParams(location.search).get('partUnitBytes') ?? 64 * 1024 ** 2);

choose.addEventListener('change', () => {
  for (const file of choose.files ?? []) void showUpload(file);
  // Without this, the browser sends no event when the user chooses the same file again.
  choose.value = '';
});
void showFiles();

async function showUpload(file: File): Promise<void> {
  const bar = document.createElement('progress');
  const state = document.createElement('output');
  uploads.append(item(file.name, bar, state));
  try {
    state.textContent = await upload(file, partUnitBytes, (doing, done) => {
      bar.dataset.doing = doing;
      bar.value = done;
    });
  } catch (error) {
    state.textContent = error instanceof Error ? error.message : String(error);
  }
  await showFiles();
}

async function showFiles(): Promise<void> {
  files.ariaBusy = 'true';
  const { files: yours = [] } = await call('ListFiles', {});
  files.replaceChildren(
    ...yours.map((file) =>
      item(
        `${file.filename} (${file.size ?? 0} bytes)`,
        button('Download', () => download(file)),
        button('Delete', () => remove(file)),
      ),
    ),
  );
  files.ariaBusy = 'false';
}

async function download({ s3Key }: UserFile): Promise<void> {
  const { presignedUrl } = await call('CreatePresignedDownload', { s3Key });
  // The answer is an attachment, so the browser stays on the page.
  location.assign(presignedUrl);
}

async function remove({ s3Key }: UserFile): Promise<void> {
  await call('DeleteFile', { s3Key });
  await showFiles();
}

function item(text: string, ...elements: HTMLElement[]): HTMLElement {
  const line = document.createElement('li');
  const label = document.createElement('span');
  label.textContent = text;
  line.append(label, ' ', ...elements);
  return line;
}

function button(text: string, act: () => Promise<void>): HTMLElement {
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
