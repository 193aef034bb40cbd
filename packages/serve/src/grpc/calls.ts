/** @file The protocol's gRPC calls, on the same functions as the HTTP routes. */

import type { sendUnaryData, Server, ServerUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { failedAnswer, inputInvalid } from '../http/errors.ts';
import { type InferenceCaller, infer, metadataOf, type Named, requireReady, serverMetadata } from '../http/v2/infer.ts';
import { configOf, loadModel, modelsFor, statisticsOf, unloadModel } from '../http/v2/triton.ts';
import { withAdapter, type Service } from '../http/service.ts';
import { traceUnder } from '../operation/tracing.ts';
import { requireBounded } from './bounds.ts';
import { type Interceptor, headersOf, statusOf } from './interceptor.ts';
import { inferenceOf, type InferMessage, messageOf, namedBy } from './messages.ts';
import { type CallName, inferenceService, nestedInRequest } from './protocol.ts';

type Handle = (message: never, asker: InferenceCaller) => Promise<object>;
type RepositoryModel = Readonly<Record<'repository_name' | 'model_name', string>>;
type ModelName = Readonly<Record<'name' | 'version', string>>;

/** Registers the protocol's calls. */
export function addCalls(server: Server, service: Service, door: Interceptor): void {
  const handles: Readonly<Record<CallName, Handle>> = {
    ServerLive: async () => ({ live: true }),
    ServerReady: async () => ({ ready: service.isReady() }),
    ServerMetadata: async () => serverMetadata(service),
    ModelReady: async ({ name, version }: ModelName, { caller }) => {
      requireReady(service);
      return { ready: await isThere(service, namedBy(name, version), caller) };
    },
    ModelMetadata: ({ name, version }: ModelName, { caller }) => metadataOf(service, namedBy(name, version), caller),
    ModelInfer: async (message: InferMessage, asker) => {
      const { named, asked, feeds } = inferenceOf(message);
      return messageOf(await infer(service, named, asked, feeds, asker));
    },
    ModelConfig: async ({ name, version }: ModelName, { caller }) => ({ config: await configOf(service, namedBy(name, version), caller) }), // prettier-ignore
    ModelStatistics: ({ name, version }: ModelName, { caller }) => statisticsOf(service, name === '' ? {} : namedBy(name, version), caller), // prettier-ignore
    RepositoryIndex: async (_: never, { caller }) => ({ models: await modelsFor(service, caller) }),
    RepositoryModelLoad: async (message: RepositoryModel, { caller }) => {
      const name = modelIn(message);
      await loadModel(service, name, caller);
      return { model_name: name, isLoaded: true };
    },
    RepositoryModelUnload: async (message: RepositoryModel, { caller }) => {
      const name = modelIn(message);
      await unloadModel(service, name, caller);
      return { model_name: name, isUnloaded: true };
    },
  };
  // Decoded here rather than by the library, so that invalid messages get the usual errors.
  const asBytes = Object.entries(inferenceService).map(([name, method]) => [
    name,
    { ...method, requestDeserialize: (bytes: Buffer) => bytes },
  ]);
  const implementation: UntypedServiceImplementation = {};
  for (const [name, handle] of Object.entries(handles))
    implementation[name] = (call: ServerUnaryCall<Buffer, object>, callback: sendUnaryData<object>) =>
      void answer(name as CallName, handle, call, callback, service, door);
  server.addService(Object.fromEntries(asBytes) as typeof inferenceService, implementation);
}

async function answer(
  name: CallName,
  handle: Handle,
  call: ServerUnaryCall<Buffer, object>,
  callback: sendUnaryData<object>,
  { log, tracing, hidePaths }: Service,
  door: Interceptor,
): Promise<void> {
  const gone = new AbortController();
  call.once('cancelled', () => gone.abort());
  const route = call.getPath();
  const trace = tracing?.request(route, headersOf(call.metadata), { 'rpc.system': 'grpc', 'rpc.method': route });
  traceUnder(gone.signal, trace);
  let found: object | undefined;
  let failure: ReturnType<typeof statusOf> | null = null;
  try {
    const deadline = Number(call.getDeadline()) - Date.now() + performance.now();
    requireBounded(call.request, name === 'ModelInfer' ? nestedInRequest : {});
    const message = decoded(name, call.request) as never;
    found = await handle(message, { caller: door.callerOf(call.metadata), signal: gone.signal, deadline });
    trace?.end();
  } catch (error) {
    if (failedAnswer(error, hidePaths).status === 500) log.failed(error);
    failure = statusOf(error, hidePaths);
    trace?.end(error);
  }
  callback(failure, found);
}

/** @throws OnnxLoraError `INPUT_INVALID` */
function decoded(name: CallName, bytes: Buffer): object {
  try {
    return inferenceService[name]!.requestDeserialize(bytes);
  } catch (error) {
    throw inputInvalid(`The bytes are no ${name}Request: ${(error as Error).message}.`);
  }
}

/** Triton's clients also ask for unknown models. */
async function isThere(service: Service, named: Named, caller: InferenceCaller['caller']): Promise<boolean> {
  try {
    await withAdapter(service, named, caller);
    return true;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'FILE_NOT_FOUND') return false;
    throw error;
  }
}

/** KServe's clients name the model in the first field, Triton's in the second after a repository. */
function modelIn({ repository_name: first, model_name: second }: RepositoryModel): string {
  return second === '' ? first : second;
}
