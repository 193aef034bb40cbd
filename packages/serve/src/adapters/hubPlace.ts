/** @file Adapters in a repository on the Hugging Face hub: one at its top, or a folder for each. */

import { createHash } from 'node:crypto';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { defined } from '@onnx-lora/sdk/data';
import { type FarFile, type FarPlace, FileChanged } from './farAdapters.ts';

/** A file with what its bytes must be. */
interface HubFile extends FarFile {
  /** The commit that it was found in. */
  readonly commit: string;
}

/**
 * A place on the hub, at `HF_ENDPOINT`, with the token of `HF_TOKEN`.
 *
 * @param url `hf://ORG/NAME`, with `@REVISION` where it is not the branch `main`
 * @throws OnnxLoraError `CONFIG_INVALID` for another address
 */
export async function hubPlace(url: string): Promise<FarPlace> {
  const [, repo, revision = 'main'] = /^hf:\/\/([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/.exec(url) ?? [];
  if (repo === undefined) {
    throw new OnnxLoraError('CONFIG_INVALID', `"${url}" is no repository on the hub. Write hf://ORG/NAME, or hf://ORG/NAME@REVISION.`); // prettier-ignore
  }
  const { downloadFile, listFiles, modelInfo } = await import('@huggingface/hub');
  const at = (signal: AbortSignal): { hubUrl?: string; accessToken?: string; fetch: typeof fetch } => ({
    ...defined({ hubUrl: process.env['HF_ENDPOINT'], accessToken: process.env['HF_TOKEN'] || undefined }),
    fetch: (input, init) => fetch(input, { ...init, signal }),
  });
  return {
    url,
    name: repo.split('/')[1]!,
    async *files(folder, signal): AsyncGenerator<HubFile> {
      // Of one commit, so that no adapter has the config of one and the weights of another.
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
