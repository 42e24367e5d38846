/* fake_backend.c - descriptors, engines and plans of the fake cuDNN; see fake.h. */
#include "tests/cudnn/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t WORKSPACE = 4096;

size_t cudnnGetVersion(void)
{
    const char *text = getenv("CAIRN_FAKE_CUDNN_VERSION");
    return text ? strtoul(text, NULL, 10) : CUDNN_VERSION;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = (cudnnHandle_t)calloc(1, 1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    free((void *)handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    (void)stream;
    return handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS         ? "CUDNN_STATUS_SUCCESS"
           : status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                                  : "CUDNN_STATUS_BAD_PARAM";
}

void cudnnGetLastErrorString(char *message, size_t size)
{
    snprintf(message, size, "the fake says so");
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    FakePart *part = calloc(1, sizeof *part);

    part->type = type;
    *out = part;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    FakePart *part = descriptor;

    for (int i = 0; i < part->attributes; i++)
        free(part->attribute[i].value);
    free(part->number);
    free(part);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    FakePart *part = descriptor;

    if (part->finalized)
        return CUDNN_STATUS_BAD_PARAM;
    part->finalized = true;
    if (part->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
        part->graph = fake_part(part, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    return CUDNN_STATUS_SUCCESS;
}

static size_t size_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
        return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    default:
        return 4; // enumerations
    }
}

/* Parts that are used must have been finalized, as cuDNN demands. */
static bool are_ready(cudnnBackendAttributeType_t type, int64_t count, const void *value)
{
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++) {
        const FakePart *part = ((void *const *)value)[i];
        if (!part || (!part->finalized && part->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR))
            return false;
    }
    return true;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *value)
{
    FakePart *part = descriptor;

    if (part->finalized || part->attributes == FAKE_ATTRIBUTES || !are_ready(type, count, value))
        return CUDNN_STATUS_BAD_PARAM;
    FakeAttribute *a = &part->attribute[part->attributes++];
    a->name = name;
    a->count = count;
    a->bytes = (size_t)count * size_of(type);
    a->value = malloc(a->bytes + 1);
    memcpy(a->value, value, a->bytes);
    return CUDNN_STATUS_SUCCESS;
}

const FakeAttribute *fake_attribute(const FakePart *part, cudnnBackendAttributeName_t name)
{
    for (int i = 0; i < part->attributes; i++)
        if (part->attribute[i].name == name)
            return &part->attribute[i];
    return NULL;
}

FakePart *fake_part(const FakePart *part, cudnnBackendAttributeName_t name)
{
    const FakeAttribute *a = fake_attribute(part, name);
    return a ? *(FakePart **)(void *)a->value : NULL;
}

/* One engine whose results are not the same from run to run, then one whose are. */
static cudnnStatus_t name_engines(const FakePart *heuristic, int64_t wanted, int64_t *count,
                                  void *value)
{
    FakePart **out = value;

    *count = wanted < FAKE_ENGINES ? wanted : FAKE_ENGINES;
    for (int i = 0; i < *count; i++) {
        out[i]->engine = i;
        out[i]->graph = fake_part(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *value)
{
    const FakePart *part = descriptor;

    (void)type;
    *count = 1;
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        return name_engines(part, wanted, count, value);
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        (*(FakePart **)value)->engine = part->engine;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        *(cudnnBackendNumericalNote_t *)value = part->engine == 0
                                                    ? CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC
                                                    : CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *(int64_t *)value = WORKSPACE;
        return CUDNN_STATUS_SUCCESS;
    default:
        return CUDNN_STATUS_NOT_SUPPORTED;
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack)
{
    const FakePart *configuration = ((const FakePart *)plan)->graph;
    const FakeAttribute *workspace = fake_attribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);

    if (!handle || !configuration || configuration->engine == 0 || !workspace)
        return CUDNN_STATUS_BAD_PARAM;
    memset(*(void **)(void *)workspace->value, 0xFF, (size_t)WORKSPACE);
    return fake_run(configuration->graph, pack);
}
