// slt against PyTorch and Hugging Face transformers: logits, gradients and 20 AdamW steps of small
// models (tests/vectors/make_vectors.py), on the fast backend and on the reference, on both routes;
// scaled rotary positions on the emulated GPU as well, and in generation.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emulated.h"
#include "files/param_tensors.h"
#include "optim/relora.h"
#include "slt/generate.h"
#include "slt/support.h"
#include "train/trainer.h"
#include "vectors.h"

enum { STEPS = 20 };

// DESIGN's limits: logits and losses to 1e-4, gradients to 1e-4 of their norm.
static const double limit = 1e-4;

struct vectors {
    struct slt_config config;
    int64_t batch, seq;
    struct slt_train_options options;
    struct vector_file tensors;
};

static void read_config(struct vectors *v, const char *path)
{
    struct slt_error err;
    void *text;
    size_t bytes;
    CHECK_OK(slt_file_read(&text, &bytes, path, 1 << 20, NULL, &err), err);
    CHECK_OK(slt_config_parse(&v->config, path, text, bytes, &err), err);
    json_t *root = json_loadb(text, bytes, 0, NULL);
    const json_t *test = json_object_get(root, "test");
    v->batch = json_integer_value(json_object_get(test, "batch"));
    v->seq = json_integer_value(json_object_get(test, "seq"));
    slt_train_defaults(&v->options);
    v->options.lr = json_number_value(json_object_get(test, "lr"));
    v->options.optimizer.weight_decay = json_number_value(json_object_get(test, "weight_decay"));
    v->options.clip = json_number_value(json_object_get(test, "clip"));
    v->options.optimizer.relora_every = json_integer_value(json_object_get(test, "relora_every"));
    const json_t *eps = json_object_get(test, "eps");
    v->options.optimizer.eps = eps != NULL ? json_number_value(eps) : 1e-8;
    v->options.optimizer.relora_prune = SLT_PRUNE_MAGNITUDE;
    v->options.optimizer.relora_prune_fraction = 0.9;
    json_decref(root);
    free(text);
    CHECK(v->batch > 0 && v->seq > 0 && v->options.lr > 0, "%s is incomplete", path);
    CHECK_OK(slt_support_crc(&v->config.support_crc, &v->config, &err), err);
}

static void read_vectors(struct vectors *v, const char *name)
{
    char path[200];
    *v = (struct vectors){0};
    snprintf(path, sizeof path, "tests/vectors/%s.json", name);
    read_config(v, path);
    vector_file_read(&v->tensors, name);
}

// The name that transformers gives a parameter: the same, but factored layers are plain attributes.
static void load_weights(struct slt_model *m, const struct vectors *v)
{
    for (size_t i = 0; i < m->param_count; i++) {
        const struct slt_param *p = &m->param[i];
        size_t n;
        const void *data = vector_find(&v->tensors, "weight/", p->info.name, &n);
        CHECK(data != NULL && (int64_t)n == p->info.rows * p->info.cols, "%s", p->info.name);
        if (data != NULL)
            slt_tensor_write(m, m->part[p->part].value, p->first, data, (int64_t)n);
    }
}

static void check_logits(struct slt_model *m, const struct vectors *v, const char *what)
{
    struct slt_error err;
    size_t n;
    const float *want = vector_find(&v->tensors, "", "logits", &n);
    float *logits = malloc(n * sizeof *logits);
    double worst = 0;
    CHECK_OK(slt_model_logits(m, logits, &err), err);
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)logits[i] - (double)want[i]));
    CHECK(worst <= limit, "%s: logits off by %g", what, worst);
    free(logits);
}

static void check_gradients(struct slt_trainer *t, const struct vectors *v, const char *what)
{
    const struct slt_model *m = t->model;
    for (size_t i = 0; i < m->param_count; i++) {
        const struct slt_param *p = &m->param[i];
        size_t n;
        if (p->info.frozen)
            continue;
        const float *want = vector_find(&v->tensors, "grad/", p->info.name, &n);
        double error = 0, norm = 0;
        for (size_t k = 0; want != NULL && k < n; k++) {
            float g;
            slt_tensor_read(t->model, &g, t->grads.grad[p->part], p->first + (int64_t)k, 1);
            error += ((double)g - want[k]) * ((double)g - want[k]);
            norm += (double)want[k] * want[k];
        }
        CHECK(norm > 0 && sqrt(error / norm) <= limit, "%s: gradient of %s off by %g", what,
              p->info.name, sqrt(error / norm));
    }
}

static int layout_extra(struct slt_model *model, void *user, struct slt_error *err)
{
    struct slt_trainer *t = user;
    if (t->grads.grad == NULL &&
        (slt_optimizer_init(&t->optimizer, &t->options.optimizer, t->options.lr, SLT_PRECISION_F32,
                            0, model, err) != 0 ||
         slt_grads_init(&t->grads, model, false, model->dtype, NULL, err) != 0))
        return err->code;
    slt_grads_layout(&t->grads, model, 1, 1);
    slt_optimizer_layout(&t->optimizer);
    return 0;
}

// One step of the trainer's, on given tokens: constant learning rate, no warm-up.
static void step(struct slt_trainer *t, const struct vectors *v, int number, const char *what)
{
    struct slt_model *m = t->model;
    size_t n;
    const int64_t each = v->batch * v->seq;
    const int32_t *tokens =
        (const int32_t *)vector_find(&v->tensors, "", "tokens", &n) + number * each;
    const int32_t *targets =
        (const int32_t *)vector_find(&v->tensors, "", "targets", &n) + number * each;
    const double count = (double)slt_count_targets(targets, each);
    const double want = ((const double *)vector_find(&v->tensors, "", "losses", &n))[number];
    const double want_norm = ((const double *)vector_find(&v->tensors, "", "norms", &n))[number];
    slt_grads_begin(&t->grads, m->part_count, number);
    slt_model_set_scalar(m, SLT_SCALAR_LOSS, 0);
    slt_model_set_scalar(m, SLT_SCALAR_LOSS_SCALE, 1 / count);
    slt_model_set_batch(m, tokens, targets);
    slt_model_forward(m);
    if (number == 0)
        check_logits(m, v, what);
    slt_model_loss(m, &t->grads.sink);
    slt_model_backward(m, &t->grads.sink);
    if (number == 0)
        check_gradients(t, v, what);
    const double loss = slt_model_get_scalar(m, SLT_SCALAR_LOSS) / count;
    CHECK(fabs(loss - want) <= limit, "%s: loss of step %d is %.7f, not %.7f", what, number, loss,
          want);
    slt_model_set_scalar(m, SLT_SCALAR_LR, t->options.lr);
    slt_model_set_scalar(m, SLT_SCALAR_C1, 1 - pow(t->options.optimizer.beta1, number + 1));
    slt_model_set_scalar(m, SLT_SCALAR_C2, 1 - pow(t->options.optimizer.beta2, number + 1));
    slt_model_set_scalar(m, SLT_SCALAR_CLIP, t->options.clip);
    m->ops->grad_norm(m->ctx, m->scalars, t->grads.grad, m->part_count);
    const double norm = slt_model_get_scalar(m, SLT_SCALAR_NORM);
    CHECK(fabs(norm - want_norm) <= limit * want_norm, "%s: norm of step %d is %g, not %g", what,
          number, norm, want_norm);
    struct slt_error err;
    CHECK_OK(t->optimizer.kind->step(&t->optimizer, 0, m->part_count, number, &err), err);
    if (slt_relora_is_due(&t->optimizer, number + 1))
        CHECK_OK(slt_relora_restart(&t->optimizer, number + 1, &err), err);
}

// A device by its name, "cuda-emulated" too.
static void check_case(const char *name, const char *device_name, enum slt_route route)
{
    struct slt_error err;
    struct slt_device *device;
    struct vectors v;
    char what[100];
    read_vectors(&v, name);
    snprintf(what, sizeof what, "%s on %s, route %d", name, device_name, (int)route);
    CHECK_OK(emulated_device_open(&device, device_name, 2, &err), err);
    struct slt_trainer t = {.options = v.options};
    const struct slt_model_shape shape = {.batch = v.batch,
                                          .seq = v.seq,
                                          .training = true,
                                          .route = route,
                                          .logits = v.batch * v.seq};
    CHECK_OK(slt_model_create(&t.model, device, &v.config, SLT_F32, &shape, layout_extra, &t, &err),
             err);
    slt_optimizer_bind(&t.optimizer, t.grads.grad);
    load_weights(t.model, &v);
    for (int i = 0; i < STEPS; i++)
        step(&t, &v, i, what);
    slt_model_free(t.model);
    slt_grads_free(&t.grads);
    slt_optimizer_free(&t.optimizer);
    emulated_device_close(device);
    vector_file_free(&v.tensors);
}

// The case's model as a checkpoint, so that its configuration goes through a file as well.
static void write_checkpoint(const char *path, const struct vectors *v)
{
    struct slt_error err;
    struct slt_output *out;
    struct slt_checkpoint_writer *writer;
    struct slt_param_info *params;
    size_t count, n;
    const struct slt_tokenizer_file none = {0};
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_start(&writer, &params, &count, out, &v->config, none, &err), err);
    for (size_t i = 0; i < count; i++) {
        const void *data = vector_find(&v->tensors, "weight/", params[i].name, &n);
        CHECK_OK(slt_checkpoint_write(writer, data, n * sizeof(float), &err), err);
    }
    CHECK_OK(slt_checkpoint_finish(writer, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    free(params);
}

// The first sequence with a key-value cache: as many tokens at once, then one by one.
static void check_generation(const char *name, const char *device_name, int64_t at_once)
{
    struct slt_error err;
    struct slt_device *device;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    struct slt_generator *generator;
    struct vectors v;
    char path[] = "/tmp/slt-test-vectors-XXXXXX";
    size_t n;
    const struct slt_sampling sampling = {.top_p = 1};
    const int fd = mkstemp(path);
    CHECK(fd >= 0, "%s", path);
    close(fd);
    read_vectors(&v, name);
    write_checkpoint(path, &v);
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    CHECK_OK(emulated_device_open(&device, device_name, 2, &err), err);
    CHECK_OK(slt_generator_create(&generator, device, reader, v.seq, &sampling, &err), err);
    const int32_t *ids = vector_find(&v.tensors, "", "tokens", &n);
    const float *want = vector_find(&v.tensors, "", "logits", &n);
    double worst = 0;
    for (int64_t t = 0, count = at_once; t < v.seq; t += count, count = 1) {
        CHECK_OK(slt_generator_feed(generator, ids + t, count, &err), err);
        const float *logits = slt_generator_logits(generator);
        for (int64_t i = 0; i < v.config.vocab_size; i++)
            worst = fmax(worst, fabs((double)logits[i] -
                                     (double)want[(t + count - 1) * v.config.vocab_size + i]));
    }
    CHECK(worst <= limit, "%s generated on %s: logits off by %g", name, device_name, worst);
    slt_generator_free(generator);
    slt_checkpoint_close(reader);
    emulated_device_close(device);
    vector_file_free(&v.tensors);
    unlink(path);
}

int main(void)
{
    static const char *const devices[] = {"cpu", "cpu-reference"};
    for (int d = 0; d < 2; d++) {
        check_case("full", devices[d], SLT_ROUTE_AUTO);
        check_case("full-clip-decay", devices[d], SLT_ROUTE_AUTO);
        check_case("grouped-tied", devices[d], SLT_ROUTE_AUTO);
        check_case("lowrank", devices[d], SLT_ROUTE_FACTORED);
        check_case("lowrank", devices[d], SLT_ROUTE_DENSE);
        check_case("sltrain", devices[d], SLT_ROUTE_FACTORED);
        check_case("sltrain", devices[d], SLT_ROUTE_DENSE);
        check_case("sltrain-odd", devices[d], SLT_ROUTE_FACTORED);
        check_case("sltrain-odd", devices[d], SLT_ROUTE_DENSE);
        check_case("relora", devices[d], SLT_ROUTE_AUTO);
    }
    static const char *const scaled[] = {"rope-llama3", "rope-linear"};
    static const char *const all[] = {"cpu", "cpu-reference", "cuda-emulated"};
    for (int c = 0; c < 2; c++) {
        for (int d = 0; d < 3; d++) {
            check_case(scaled[c], all[d], SLT_ROUTE_AUTO);
            check_generation(scaled[c], all[d], 7);
        }
    }
    return TEST_END();
}
