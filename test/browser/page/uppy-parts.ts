import { BasePlugin, type PluginOpts, type UppyFile } from '@uppy/core';
import { type UploadOptions, uploadFile } from 'file-service-client';
import { files } from './upload.ts';

type Meta = Record<string, unknown>;
type UploadBody = Record<string, never>;

/** An uploader for files of any size: large files go in parts, and continue where they stopped. */
export class FileServiceUpload extends BasePlugin<PluginOpts & UploadOptions, Meta, UploadBody> {
  override id = 'FileServiceUpload';
  override type = 'uploader';

  override install(): void {
    this.uppy.addUploader(this.#uploadAll);
  }

  override uninstall(): void {
    this.uppy.removeUploader(this.#uploadAll);
  }

  #uploadAll = async (ids: string[]): Promise<void> => {
    const chosen = this.uppy.getFilesByIds(ids);
    this.uppy.emit('upload-start', chosen);
    for (const file of chosen) await this.#upload(file);
  };

  async #upload(file: UppyFile<Meta, UploadBody>): Promise<void> {
    const abort = new AbortController();
    const removed = ({ id }: { id: string }) => id === file.id && abort.abort();
    // Uppy emits this for each file when the user cancels all, too.
    this.uppy.on('file-removed', removed);
    try {
      await uploadFile(files, file.data as Blob, {
        ...this.opts,
        filename: file.name,
        mimeType: file.type,
        signal: abort.signal,
        onProgress: ({ bytesSent, bytesResumed, bytesTotal }) =>
          this.uppy.emit('upload-progress', file, {
            uploadStarted: file.progress.uploadStarted ?? Date.now(),
            bytesUploaded: bytesSent + bytesResumed,
            bytesTotal,
          }),
      });
      this.uppy.emit('upload-success', file, { status: 200 });
    } catch (error) {
      if (!abort.signal.aborted) this.uppy.emit('upload-error', file, error as Error);
    } finally {
      this.uppy.off('file-removed', removed);
    }
  }
}
