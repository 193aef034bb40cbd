/** @file Adapters in a Hugging Face hub repository: one at its root, or a folder for each. */

import { createHash } from 'node:crypto';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type RemoteFile, type RemotePlace, FileChanged } from './remoteAdapters.ts';

interface HubFile extends RemoteFile {
  readonly commit: string;
}

/**
 * Opens a hub repository, at `HF_ENDPOINT`, with the token `HF_TOKEN`.
 * @param url `hf://ORG/NAME`, or `hf://ORG/NAME@REVISION`; `main` by default
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid URL
 */
export async function hubPlace(url: string): Promise<RemotePlace> {
  const [, repo, revision = 'main'] = /^hf:\/\/([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/.exec(url) ?? [];
  if (repo === undefined) {
    throw new OnnxLoraError('CONFIG_INVALID', `"${url}" is no repository on the hub. Write hf://ORG/NAME, or hf://ORG/NAME@REVISION.`); // prettier-ignore
  }
  const { downloadFile, listFiles, modelInfo } = await import('@huggingface/hub');
  const at = (signal: AbortSignal): { hubUrl?: string; accessToken?: string; fetch: typeof fetch } => ({
    ...withoutUndefined({ hubUrl: process.env['HF_ENDPOINT'], accessToken: process.env['HF_TOKEN'] || undefined }),
    fetch: (input, init) => fetch(input, { ...init, signal }),
  });
  return {
    url,
    name: repo.split('/')[1]!,
    async *files(folder, signal): AsyncGenerator<HubFile> {
      // From one commit, so that config and weights belong together.
      const { sha: commit } = await modelInfo({ ...at(signal), name: repo, revision, additionalFields: ['sha'] });
      for await (const { type, path, size, oid, lfs } of listFiles({
        ...at(signal),
        repo,
        revision: commit,
        recursive: true,
      })) {
        if (type !== 'file' || (folder !== undefined && !path.startsWith(`${folder}/`))) continue;
        yield { path, size, tag: lfs ? `sha256:${lfs.oid}` : `git:${oid}`, commit };
      }
    },
    async *read(file, signal): AsyncGenerator<Uint8Array> {
      const { path, size, tag, commit } = file as HubFile;
      const blob = await downloadFile({ ...at(signal), repo, revision: commit, path });
      if (!blob) throw new FileChanged(path);
      const hash = tag.startsWith('git:') ? createHash('sha1').update(`blob ${size}\0`) : createHash('sha256');
      for await (const piece of blob.stream()) {
        hash.update(piece);
        yield piece;
      }
      if (hash.digest('hex') !== tag.slice(tag.indexOf(':') + 1)) {
        throw new OnnxLoraError('FILE_INVALID', `"${path}" of ${url} is not what the hub says that it is: it was damaged on its way. Ask again.`); // prettier-ignore
      }
    },
  };
}
