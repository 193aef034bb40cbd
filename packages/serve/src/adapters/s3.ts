/** @file Adapters in an S3 object store: Amazon's, MinIO, Ceph, R2 … */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type * as S3 from '@aws-sdk/client-s3';
import { type RemoteFile, type RemotePlace, FileChanged } from './remoteAdapters.ts';

/**
 * Opens a bucket. Credentials, region and endpoint come from Amazon's usual sources: `AWS_ACCESS_KEY_ID`, `AWS_REGION`,
 * `AWS_ENDPOINT_URL_S3`, a profile, or the machine's or pod's role.
 * @param url `s3://BUCKET/PREFIX`
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid URL, or without `@aws-sdk/client-s3`
 */
export async function s3Place(url: string): Promise<RemotePlace & { close(): void }> {
  const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url) ?? [];
  if (bucket === undefined) {
    throw new OnnxLoraError('CONFIG_INVALID', `"${url}" is no place in an object store. Write s3://BUCKET/PREFIX.`);
  }
  const root = path.replace(/\/+$/, '');
  const prefix = root === '' ? '' : `${root}/`;
  const { S3Client: Client, GetObjectCommand, ListObjectsV2Command, S3ServiceException } = await library();
  // Other stores have no host names for buckets.
  const endpoint = process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];
  const client: S3.S3Client = new Client({ maxAttempts: 3, forcePathStyle: endpoint !== undefined });
  return {
    url,
    name: root.split('/').at(-1) || bucket,
    async *files(folder, signal): AsyncGenerator<RemoteFile> {
      let token: string | undefined;
      do {
        const Prefix = folder === undefined ? prefix : `${prefix}${folder}/`;
        const page = await client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix,
            ...(token !== undefined && { ContinuationToken: token }),
          }),
          { abortSignal: signal },
        );
        for (const { Key, Size, ETag } of page.Contents ?? []) {
          if (Key !== undefined && Size !== undefined && ETag !== undefined)
            yield { path: Key.slice(prefix.length), size: Size, tag: ETag };
        }
        token = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
    async *read({ path: file, size, tag }, signal): AsyncGenerator<Uint8Array> {
      try {
        const object = new GetObjectCommand({ Bucket: bucket, Key: prefix + file, IfMatch: tag });
        const { Body, ContentLength, ETag } = await client.send(object, { abortSignal: signal });
        if (ETag !== tag || ContentLength !== size) throw new FileChanged(file);
        yield* Body as AsyncIterable<Uint8Array>;
      } catch (error) {
        const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
        throw status === 412 || status === 404 ? new FileChanged(file) : error;
      }
    },
    close: () => client.destroy(),
  };
}

async function library(): Promise<typeof S3> {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (cause) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'Adapters in an object store need the package @aws-sdk/client-s3. Install it: npm install @aws-sdk/client-s3.',
      { cause },
    );
  }
}
