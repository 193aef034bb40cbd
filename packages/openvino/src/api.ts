/** @file OpenVINO's C API, as far as sessions use it. @see https://docs.openvino.ai/2026/api/c_cpp_api/group__ov__c__api.html */

import { type DataType, OnnxLoraError } from '@onnx-lora/sdk';
import koffi, { type LibraryHandle } from 'koffi';

type TypeSpec = Parameters<typeof koffi.out>[0];

/** The address of an object of the library. */
export type Handle = bigint;

/** Numbers of `ov_element_type_e`. */
export const elementType: Readonly<Record<DataType, number>> = {
  bool: 1,
  bfloat16: 2,
  float16: 3,
  float32: 4,
  float64: 5,
  int8: 7,
  int16: 8,
  int32: 9,
  int64: 10,
  uint8: 16,
  uint16: 17,
  uint32: 18,
  uint64: 19,
};

const dataTypes = new Map(Object.entries(elementType).map(([name, number]) => [number, name as DataType]));

/** `INVALID_C_PARAM` of `ov_status_e`. */
const INVALID_PARAMETER = -14;

/** An output of a request. */
export interface Output {
  readonly type: DataType;
  readonly dims: readonly number[];
  /** Its bytes, in the library's memory: they are those of the next run after it, and gone with the request. */
  readonly bytes: ArrayBuffer;
}

/** The loaded library. A function that fails throws an `Error` with the library's reason. */
export interface Api {
  /** Such as `2026.4.1-…`. */
  readonly version: string;
  /** @throws OnnxLoraError `PROVIDER_UNAVAILABLE` for a device that is not there */
  requireDevice(device: string): void;
  readModel(file: string): Promise<Handle>;
  /** Names of a model's inputs or outputs. */
  names(model: Handle, side: 'input' | 'output'): string[];
  compile(model: Handle, device: string, properties: Readonly<Record<string, string>>): Promise<Handle>;
  request(compiled: Handle): Handle;
  setTensor(request: Handle, name: string, tensor: Handle): void;
  /** Computes in another thread. */
  infer(request: Handle): Promise<void>;
  output(request: Handle, name: string): Output;
  /** A tensor over the memory of `data`, which must outlive it. */
  tensor(type: number, dims: readonly number[], data: ArrayBufferView): Handle;
  free(what: 'model' | 'compiled_model' | 'infer_request' | 'tensor', handle: Handle): void;
  /** Returns freed memory to the system, which glibc keeps otherwise: 200 MB after the comparison of ViT-S. */
  trim(): void;
}

/** Loads the library. @throws OnnxLoraError `PROVIDER_UNAVAILABLE` if that fails */
export function loadApi(file: string): Api {
  const library = loaded(file);
  const shape = koffi.struct({ rank: 'int64', dims: 'void *' });
  const property = koffi.struct({ key: 'str', value: 'str' });
  const outPointer = koffi.out(koffi.pointer('void *'));
  const outSize = koffi.out(koffi.pointer('size_t'));
  const outNumber = koffi.out(koffi.pointer('int'));
  const { call, later } = callsOf(library);

  const createCore = call('ov_core_create', outPointer);
  const devices = call('ov_core_get_available_devices', 'void *', koffi.out(koffi.pointer(koffi.struct({ devices: 'void *', size: 'size_t' })))); // prettier-ignore
  const version = call('ov_get_openvino_version', koffi.out(koffi.pointer(koffi.struct({ build: 'str', description: 'str' })))); // prettier-ignore
  const readModel = later('ov_core_read_model', 'void *', 'str', 'str', outPointer);
  const sides = {
    input: { count: call('ov_model_inputs_size', 'void *', outSize), port: call('ov_model_const_input_by_index', 'void *', 'size_t', outPointer) }, // prettier-ignore
    output: { count: call('ov_model_outputs_size', 'void *', outSize), port: call('ov_model_const_output_by_index', 'void *', 'size_t', outPointer) }, // prettier-ignore
  };
  const portName = call('ov_port_get_any_name', 'void *', koffi.out(koffi.pointer('char *')));
  const freePort = library.func('ov_output_const_port_free', 'void', ['void *']);
  const compile = later('ov_core_compile_model_props', 'void *', 'void *', 'str', 'size_t', koffi.pointer(property), outPointer); // prettier-ignore
  const createRequest = call('ov_compiled_model_create_infer_request', 'void *', outPointer);
  const setTensor = call('ov_infer_request_set_tensor', 'void *', 'str', 'void *');
  const getTensor = call('ov_infer_request_get_tensor', 'void *', 'str', outPointer);
  const infer = later('ov_infer_request_infer', 'void *');
  const createTensor = call('ov_tensor_create_from_host_ptr', 'int', shape, 'void *', outPointer);
  const tensorType = call('ov_tensor_get_element_type', 'void *', outNumber);
  const tensorShape = library.func('ov_tensor_get_shape', 'int', ['void *', koffi.out(koffi.pointer(shape))]);
  const freeShape = call('ov_shape_free', koffi.pointer(shape));
  const tensorBytes = call('ov_tensor_get_byte_size', 'void *', outSize);
  const tensorData = call('ov_tensor_data', 'void *', outPointer);
  const frees = {
    model: library.func('ov_model_free', 'void', ['void *']),
    compiled_model: library.func('ov_compiled_model_free', 'void', ['void *']),
    infer_request: library.func('ov_infer_request_free', 'void', ['void *']),
    tensor: library.func('ov_tensor_free', 'void', ['void *']),
  };

  function sizesOf(tensor: Handle): number[] {
    const found: [{ readonly rank: number | bigint; readonly dims: Handle } | null] = [null];
    // The API has no shape without dimensions.
    if (tensorShape(tensor, found) === INVALID_PARAMETER) return [];
    const { rank, dims } = found[0]!;
    const sizes = Array.from(koffi.decode(dims, 'int64', Number(rank)) as BigInt64Array, Number);
    freeShape(found[0]);
    return sizes;
  }

  const core = made<Handle>((place) => createCore(place));
  const found = made<{ build: string }>((place) => version(place));
  return {
    version: found.build,
    requireDevice(device) {
      const list = made<{ devices: Handle; size: number | bigint }>((place) => devices(core, place));
      const names = koffi.decode(list.devices, 'char *', Number(list.size)) as string[];
      if (names.some((name) => name === device || name.startsWith(`${device}.`))) return;
      throw new OnnxLoraError(
        'PROVIDER_UNAVAILABLE',
        `OpenVINO has no ${device} on this machine, but ${names.join(', ')}. Install the driver of the device, or use the provider openvino or cpu.`,
      );
    },
    readModel: async (path) => {
      const place: [Handle] = [0n];
      await readModel(core, path, null, place);
      return place[0];
    },
    names(model, side) {
      const { count, port } = sides[side];
      return Array.from({ length: Number(made<number>((place) => count(model, place))) }, (_, i) => {
        const each = made<Handle>((place) => port(model, i, place));
        const name = made<string>((place) => portName(each, place));
        freePort(each);
        return name;
      });
    },
    compile: async (model, device, properties) => {
      const place: [Handle] = [0n];
      const pairs = Object.entries(properties).map(([key, value]) => ({ key, value }));
      await compile(core, model, device, pairs.length, pairs, place);
      return place[0];
    },
    request: (compiled) => made((place) => createRequest(compiled, place)),
    setTensor: (request, name, tensor) => setTensor(request, name, tensor),
    infer: (request) => infer(request),
    output(request, name) {
      const tensor = made<Handle>((place) => getTensor(request, name, place));
      try {
        const number = made<number>((place) => tensorType(tensor, place));
        const type = dataTypes.get(number);
        if (type === undefined) throw new Error(`the output "${name}" has OpenVINO's element type ${number}`);
        const bytes = Number(made<number>((place) => tensorBytes(tensor, place)));
        const data = made<Handle>((place) => tensorData(tensor, place));
        return {
          type,
          dims: sizesOf(tensor),
          bytes: bytes === 0 ? new ArrayBuffer(0) : koffi.view(data, bytes),
        };
      } finally {
        frees.tensor(tensor);
      }
    },
    tensor: (type, dims, data) =>
      made((place) => createTensor(type, { rank: dims.length, dims: BigInt64Array.from(dims, BigInt) }, data, place)),
    free: (what, handle) => void frees[what](handle),
    trim: trimOf(library),
  };
}

/** glibc's `malloc_trim`, which the library is linked with on Linux; nothing elsewhere. */
function trimOf(library: LibraryHandle): () => void {
  try {
    const trim = library.func('malloc_trim', 'int', ['size_t']);
    return () => void trim(0);
  } catch {
    return () => undefined;
  }
}

/** The value that a call writes into a place. */
function made<T>(call: (place: [T | null]) => void): T {
  const place: [T | null] = [null];
  call(place);
  return place[0]!;
}

/** Makes functions of a library that check the status: at once, or in another thread. */
function callsOf(library: LibraryHandle) {
  const lastError = library.func('ov_get_last_err_msg', 'str', []);
  const errorInfo = library.func('ov_get_error_info', 'str', ['int']);
  const check = (status: number): void => {
    if (status === 0) return;
    const reason = (lastError() as string | null) ?? '';
    throw new Error(reason === '' ? (errorInfo(status) as string) : reason);
  };
  return {
    call: (name: string, ...parameters: TypeSpec[]) => {
      const raw = library.func(name, 'int', parameters);
      return (...given: unknown[]): void => check(raw(...given) as number);
    },
    later: (name: string, ...parameters: TypeSpec[]) => {
      const raw = library.func(name, 'int', parameters);
      return (...given: unknown[]): Promise<void> =>
        new Promise((resolve, reject) => {
          raw.async(...given, (error: Error | null, status: number) => {
            try {
              if (error) throw error;
              check(status);
              resolve();
            } catch (cause) {
              reject(cause as Error);
            }
          });
        });
    },
  };
}

function loaded(file: string): LibraryHandle {
  try {
    return koffi.load(file);
  } catch (cause) {
    throw new OnnxLoraError(
      'PROVIDER_UNAVAILABLE',
      `OpenVINO's library "${file}" cannot be loaded: ${(cause as Error).message}. Install it again.`,
      { cause },
    );
  }
}
