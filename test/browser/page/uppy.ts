import Uppy from '@uppy/core';
import type { UploadOptions } from 'file-service-client';
import { FileServiceUpload } from './uppy-parts.ts';
import { useFileService } from './uppy-put.ts';

const parameters = new URLSearchParams(location.search);
const options: UploadOptions = JSON.parse(parameters.get('options') ?? '{}');
const uppy = new Uppy();
// For tests.
Object.assign(globalThis, { uppy });
if (parameters.get('recipe') === 'parts') uppy.use(FileServiceUpload, options);
else useFileService(uppy);

const bar = document.querySelector('progress');
const choose = document.querySelector<HTMLInputElement>('#choose');
uppy.on('upload-progress', (_, { bytesUploaded, bytesTotal }) => {
  if (bar !== null) bar.value = (100 * Number(bytesUploaded)) / Number(bytesTotal);
});
choose?.addEventListener('change', async () => {
  const [file] = choose.files ?? [];
  if (file === undefined) return;
  const line = document.createElement('li');
  const state = document.createElement('output');
  line.append(state);
  document.querySelector('#uploads')?.append(line);
  uppy.clear();
  uppy.addFile({ name: file.name, type: file.type, data: file });
  const { successful = [], failed = [] } = (await uppy.upload()) ?? {};
  state.textContent = failed[0]?.error ?? `${successful.length} uploaded`;
  choose.value = '';
});
