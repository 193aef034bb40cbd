/** @file The Open Inference Protocol and Triton's model repository over gRPC, without fields that are ignored. */

import { fromJSON, type ServiceDefinition } from '@grpc/proto-loader';

const port = { name: 'string 1', datatype: 'string 2', shape: 'repeated int64 3' };
const tensor = { ...port, parameters: 'map InferParameter 4' };
const named = { name: 'string 1', version: 'string 2' };
const repositoryModel = { repository_name: 'string 1', model_name: 'string 2' };

/** Fields by name: rule, type and number. */
const messages: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ServerLiveRequest: {},
  ServerLiveResponse: { live: 'bool 1' },
  ServerReadyRequest: {},
  ServerReadyResponse: { ready: 'bool 1' },
  ServerMetadataRequest: {},
  ServerMetadataResponse: { name: 'string 1', version: 'string 2', extensions: 'repeated string 3' },
  ModelReadyRequest: named,
  ModelReadyResponse: { ready: 'bool 1' },
  ModelMetadataRequest: named,
  ModelMetadataResponse: {
    name: 'string 1',
    versions: 'repeated string 2',
    platform: 'string 3',
    inputs: 'repeated Port 4',
    outputs: 'repeated Port 5',
  },
  Port: port,
  InferParameter: {
    bool_param: 'bool 1',
    int64_param: 'int64 2',
    string_param: 'string 3',
    double_param: 'double 4',
    uint64_param: 'uint64 5',
  },
  InferTensorContents: {
    bool_contents: 'repeated bool 1',
    int_contents: 'repeated int32 2',
    int64_contents: 'repeated int64 3',
    uint_contents: 'repeated uint32 4',
    uint64_contents: 'repeated uint64 5',
    fp32_contents: 'repeated float 6',
    fp64_contents: 'repeated double 7',
  },
  InputTensor: { ...tensor, contents: 'InferTensorContents 5' },
  RequestedOutput: { name: 'string 1', parameters: 'map InferParameter 2' },
  ModelInferRequest: {
    model_name: 'string 1',
    model_version: 'string 2',
    id: 'string 3',
    parameters: 'map InferParameter 4',
    inputs: 'repeated InputTensor 5',
    outputs: 'repeated RequestedOutput 6',
    raw_input_contents: 'repeated bytes 7',
  },
  OutputTensor: tensor,
  ModelInferResponse: {
    model_name: 'string 1',
    model_version: 'string 2',
    id: 'string 3',
    parameters: 'map InferParameter 4',
    outputs: 'repeated OutputTensor 5',
    raw_output_contents: 'repeated bytes 6',
  },
  ModelConfigRequest: named,
  ModelConfigResponse: { config: 'ModelConfig 1' },
  ModelConfig: {
    name: 'string 1',
    platform: 'string 2',
    max_batch_size: 'int32 4',
    input: 'repeated ModelInput 5',
    output: 'repeated ModelOutput 6',
    backend: 'string 17',
  },
  ModelInput: { name: 'string 1', data_type: 'DataType 2', dims: 'repeated int64 4' },
  ModelOutput: { name: 'string 1', data_type: 'DataType 2', dims: 'repeated int64 3' },
  ModelStatisticsRequest: named,
  ModelStatisticsResponse: { model_stats: 'repeated ModelStatistics 1' },
  ModelStatistics: {
    name: 'string 1',
    version: 'string 2',
    last_inference: 'uint64 3',
    inference_count: 'uint64 4',
    execution_count: 'uint64 5',
    inference_stats: 'InferStatistics 6',
    batch_stats: 'repeated InferBatchStatistics 7',
  },
  StatisticDuration: { count: 'uint64 1', ns: 'uint64 2' },
  InferStatistics: {
    success: 'StatisticDuration 1',
    fail: 'StatisticDuration 2',
    queue: 'StatisticDuration 3',
    compute_input: 'StatisticDuration 4',
    compute_infer: 'StatisticDuration 5',
    compute_output: 'StatisticDuration 6',
    cache_hit: 'StatisticDuration 7',
    cache_miss: 'StatisticDuration 8',
  },
  InferBatchStatistics: {
    batch_size: 'uint64 1',
    compute_input: 'StatisticDuration 2',
    compute_infer: 'StatisticDuration 3',
    compute_output: 'StatisticDuration 4',
  },
  RepositoryIndexRequest: {},
  ModelIndex: { name: 'string 1', version: 'string 2', state: 'string 3' },
  RepositoryIndexResponse: { models: 'repeated ModelIndex 1' },
  RepositoryModelLoadRequest: repositoryModel,
  RepositoryModelLoadResponse: { model_name: 'string 1', isLoaded: 'bool 2' },
  RepositoryModelUnloadRequest: repositoryModel,
  RepositoryModelUnloadResponse: { model_name: 'string 1', isUnloaded: 'bool 2' },
};

/** Triton's types, by number. */
const dataTypes = ['INVALID', 'BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64', 'FP16', 'FP32', 'FP64', 'STRING', 'BF16']; // prettier-ignore

const calls = [
  'ServerLive',
  'ServerReady',
  'ServerMetadata',
  'ModelReady',
  'ModelMetadata',
  'ModelInfer',
  'ModelConfig',
  'ModelStatistics',
  'RepositoryIndex',
  'RepositoryModelLoad',
  'RepositoryModelUnload',
] as const;

export type CallName = (typeof calls)[number];

function field(text: string): { readonly rule?: string; readonly keyType?: string; type: string; id: number } {
  const [id, type, rule] = text.split(' ').reverse() as [string, string, string?];
  const kind = rule === 'map' ? { keyType: 'string' } : rule === undefined ? {} : { rule };
  return { type, id: Number(id), ...kind };
}

const mapped = <T, U>(values: Readonly<Record<string, T>>, use: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, use(value)]));

const types = mapped(messages, (fields) => ({ fields: mapped(fields, field) }));
const choice = { oneofs: { choice: { oneof: Object.keys(messages['InferParameter']!) } } };
const methods = Object.fromEntries(
  calls.map((name) => [name, { requestType: `${name}Request`, responseType: `${name}Response`, comment: '' }]),
);

const definitions = fromJSON(
  {
    nested: {
      inference: {
        nested: {
          ...types,
          InferParameter: { ...types['InferParameter']!, ...choice },
          DataType: { values: Object.fromEntries(dataTypes.map((name, number) => [`TYPE_${name}`, number])) },
          GRPCInferenceService: { methods },
        },
      },
    },
  },
  // 64-bit integers as strings, since numbers cannot hold them.
  { longs: String, enums: String, defaults: true },
);

export const inferenceService: ServiceDefinition = definitions['inference.GRPCInferenceService'] as ServiceDefinition;

/** Fields that are nested messages: {@link requireBounded} scans them. */
export interface Nested {
  readonly [field: number]: Nested;
}

const leaf: Nested = {};
const parameter: Nested = { 2: leaf };

/** Nested messages of an inference request. */
export const nestedInRequest: Nested = { 4: parameter, 5: { 4: parameter, 5: leaf }, 6: { 2: parameter }, 7: leaf };
