// gannet compile --train, gannet-run --tune and gannet apply-weights: the weights that gannet tune gives, without the compiler.
#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>

#include "runtime/core/artifact.h"
#include "runtime/core/crc32c.h"
#include "runtime/data/npy.h"
#include "runtime/training/safetensors.h"
#include "runtime/training/training_engine.h"
#include "tests/frontend/import_test_model.h"
#include "tests/tools/command_line_fixture.h"
#include "tools/deploy/run_artifact.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TuneArtifact : public CommandLine {
 protected:
  // What gannet-run prints where it must succeed and say nothing on standard error.
  std::string deploy(const std::string& line) {
    const CommandResult result = gannet_run_line(line);
    EXPECT_EQ(result.status, 0) << line << "\n" << result.err << result.out;
    EXPECT_EQ(result.err, "") << line;
    return result.out;
  }
  // What it says on standard error where it must fail.
  std::string refusal(const std::string& line) {
    const CommandResult result = gannet_run_line(line);
    EXPECT_EQ(result.status, 1) << line << "\n" << result.out;
    return result.err;
  }

  // Trains `model` with gannet tune and with a compiled file, on 1 and 2 threads: one result. `step` are flags of the step, `run` those of
  // the run; without held-out rows also what is printed of updates and measures is the same.
  void expect_same(const std::string& model, const std::string& data, const std::string& step, const std::string& run_flags) {
    SCOPED_TRACE(model + " " + step);
    const std::string told = run("tune " + model + " --train " + data + " " + step + " " + run_flags + " -o tuned.onnx");
    run("compile " + model + " --train " + step + " -o model.gannet");
    const std::string end = told.substr(told.find("done after"), told.find("wrote ") - told.find("done after"));
    for (const char* threads : {" --threads 1", " --threads 2"}) {
      EXPECT_THAT(deploy("model.gannet --tune " + data + " " + run_flags + threads + " -o w.safetensors"), HasSubstr(end));
      run("apply-weights " + model + " w.safetensors -o applied.onnx");
      EXPECT_TRUE(contents("applied.onnx") == contents("tuned.onnx")) << threads;
    }
    EXPECT_FALSE(contents("tuned.onnx") == contents(model));
  }

  void make_mlp() { run("new mlp --inputs 6 --units 8 --outputs 3 --sample-data d.npz --samples 96 -o m.onnx"); }

  // d.npz with another array in place of one, or without it where that is undefined.
  static void change(const std::string& path, const std::string& name, const Tensor& other) {
    NamedTensors arrays;
    const NamedTensors all = read_npz("d.npz").value();
    for (const auto& [own, tensor] : all) {
      if (own != name) arrays.emplace_back(own, tensor);
      else if (other.defined()) arrays.emplace_back(own, other);
    }
    ASSERT_TRUE(write_npz(path, arrays).ok());
  }
};

TEST_F(TuneArtifact, GivesTheBitsOfTuneForClasses) {
  make_mlp();
  expect_same("m.onnx", "d.npz", "--optimizer adam", "--eval-fraction 0.25 --epochs 3 --batch-size 16 --lr 0.01 --seed 5");
  expect_same("m.onnx", "d.npz", "--optimizer nesterov --clip-norm 1 --weight-decay 0.01 --lr-for *0*=0.5 --label-smoothing 0.1 --ema 0.9",
              "--eval d.npz --epochs 2 --schedule cosine --warmup 10%");
  expect_same("m.onnx", "d.npz", "--accumulate 2 --class-weights 1,2,0.5", "--epochs 2 --batch-size 10");
}

TEST_F(TuneArtifact, GivesTheBitsOfTuneForPicturesAsArrays) {
  run("new cnn --image-size 12 --channels 1 --classes 3 --sample-data d.npz --samples 65 -o cnn.onnx");
  expect_same("cnn.onnx", "d.npz", "--lr-decay-by-depth 0.8", "--epochs 2 --batch-size 16");
  run("new resnet8 --image-size 12 --channels 1 --classes 3 -o resnet.onnx");
  expect_same("resnet.onnx", "d.npz", "", "--epochs 1 --batch-size 16");
  expect_same("resnet.onnx", "d.npz", "--batch-norm frozen --optimizer sgd", "--epochs 1 --batch-size 16");
}

// As --task image-classification reads them, with the names of the classes.
TEST_F(TuneArtifact, GivesTheBitsOfTuneForAFolderOfPictures) {
  run("new cnn --image-size 12 --channels 1 --classes 3 --sample-data pictures --samples 48 -o cnn.onnx");
  run("tune cnn.onnx --train pictures --eval-fraction 0.25 --epochs 2 --batch-size 8 -o tuned.onnx");
  run("compile cnn.onnx --train -o cnn.gannet");
  EXPECT_THAT(deploy("cnn.gannet --tune pictures --eval-fraction 0.25 --epochs 2 --batch-size 8 --threads 2 -o w.safetensors"), HasSubstr("on 36 rows, 12 held out"));
  run("apply-weights cnn.onnx w.safetensors -o applied.onnx");
  EXPECT_EQ(contents("applied.onnx"), contents("tuned.onnx"));
  // Whoever runs them reads names.
  const auto folder = std::filesystem::directory_iterator("pictures")->path();
  const std::string picture = std::filesystem::directory_iterator(folder)->path().string();
  const std::string on_the_device = deploy("cnn.gannet --weights w.safetensors --input " + picture + " --top 3");
  EXPECT_THAT(on_the_device, HasSubstr(" " + folder.filename().string() + "  0."));
  const auto ranked = [](const std::string& text) { return text.substr(text.find("\n  class ")); };
  EXPECT_EQ(ranked(on_the_device), ranked(run("run tuned.onnx --input " + picture + " --top 3")));
  // Classes that the tuned file names keep their numbers.
  run("compile tuned.onnx --train -o named.gannet");
  deploy("named.gannet --tune pictures --epochs 1 -o w.safetensors");
  std::filesystem::rename("pictures", "all");
  std::filesystem::create_directory("pictures");
  const auto first = std::filesystem::directory_iterator("all")->path();
  std::filesystem::copy(first, "pictures" / first.filename());
  EXPECT_THAT(deploy("named.gannet --tune pictures --epochs 1 -o w.safetensors"), HasSubstr("class 2: "));
  std::filesystem::rename("pictures" / first.filename(), "pictures/unknown");
  EXPECT_THAT(refusal("named.gannet --tune pictures -o w.safetensors"), HasSubstr("pictures: folder 'unknown' is none of the classes that the model names: "));
  EXPECT_THAT(refusal("named.gannet --tune pictures --target y -o w.safetensors"), HasSubstr("--target names an array"));
  EXPECT_THAT(refusal("cnn.gannet --tune pictures -o w.safetensors"), HasSubstr("pictures: has folders for 1 classes, output 'probabilities' has 3"));
  make_mlp();
  run("compile m.onnx --train -o m.gannet");
  EXPECT_THAT(refusal("m.gannet --tune pictures -o w.safetensors"), HasSubstr("m.gannet: a picture gives a tensor of rank 4 or 3"));
}

// What the flags of gannet compile say is what gannet-run takes without flags of its own.
TEST_F(TuneArtifact, GivesTheBitsOfTuneForTextsWithDropout) {
  run("new bert-classifier --layers 2 --hidden 32 --heads 2 --vocab 200 -o bert.onnx --sample-data t.tsv --sample-vocab v.txt --samples 48");
  EXPECT_THAT(run("tokenize t.tsv --vocab v.txt --model bert.onnx -o d.npz"), AllOf(HasSubstr("48 rows of "), HasSubstr("wrote d.npz")));
  const std::string flags = "--dropout transformer=0.1 --weight-decay 0.01 --no-decay-vectors --clip-norm 1 --schedule linear --warmup 10% "
                            "--lr 0.001 --epochs 2 --batch-size 8";
  run("tune bert.onnx --train d.npz " + flags + " --eval-fraction 0.2 -o tuned.onnx");
  run("compile bert.onnx --train " + flags + " -o bert.gannet");
  change("wrong.npz", "attention_mask", Tensor::zeros(DType::kI64, {48, 5}));
  EXPECT_THAT(refusal("bert.gannet --tune wrong.npz -o w.safetensors"), HasSubstr("error: wrong.npz: input 'attention_mask' dimension 1 is 5, but"));
  Tensor ids = read_npz_array("d.npz", "input_ids").value();
  ids.mutable_data<int64_t>()[3 * ids.extent(1) + 1] = 200;
  change("wrong.npz", "input_ids", ids);
  EXPECT_EQ(refusal("bert.gannet --tune wrong.npz -o w.safetensors"), "error: wrong.npz: index 200 in row 3 of 'input_ids' is not one of the 200 rows of the model's table\n");
  for (const char* threads : {" --threads 1", " --threads 2"}) {
    deploy("bert.gannet --tune d.npz --eval-fraction 0.2 -o w.safetensors" + std::string(threads));
    run("apply-weights bert.onnx w.safetensors -o applied.onnx");
    EXPECT_TRUE(contents("applied.onnx") == contents("tuned.onnx")) << threads;
  }
}

TEST_F(TuneArtifact, GivesTheBitsOfTuneForNumbersAndShares) {
  run("new mlp --inputs 6 --units 8 --outputs 1 -o one.onnx");
  make_mlp();
  const Tensor x = read_npz_array("d.npz", "input").value();
  Tensor numbers = Tensor::zeros(DType::kF32, {x.extent(0)}), shares = Tensor::zeros(DType::kF32, {x.extent(0), 3});
  for (int64_t i = 0; i < x.extent(0); ++i) {
    numbers.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(x.double_at(6 * i) - x.double_at(6 * i + 1));
    shares.mutable_data<float>()[static_cast<size_t>(3 * i + i % 3)] = 0.75f;
    shares.mutable_data<float>()[static_cast<size_t>(3 * i + (i + 1) % 3)] = 0.25f;
  }
  change("numbers.npz", "labels", numbers);
  change("shares.npz", "labels", shares);
  expect_same("one.onnx", "numbers.npz", "", "--epochs 2");
  expect_same("m.onnx", "shares.npz", "--loss binary-cross-entropy", "--epochs 2 --best-by loss");
  run("tune m.onnx --train shares.npz --loss cross-entropy --epochs 2 -o tuned.onnx");
  run("compile m.onnx --train --soft-labels --epochs 2 -o m.gannet");
  deploy("m.gannet --tune shares.npz -o w.safetensors");
  run("apply-weights m.onnx w.safetensors -o applied.onnx");
  EXPECT_TRUE(contents("applied.onnx") == contents("tuned.onnx"));
}

TEST_F(TuneArtifact, ANewHeadComesHomeInTheModelThatHasIt) {
  make_mlp();
  run("new mlp --inputs 6 --units 8 --outputs 7 -o seven.onnx");
  const std::string flags = "--new-head 3 --head-dropout 0.2 --seed 4 ";
  run("tune seven.onnx " + flags + "--train d.npz --epochs 2 -o tuned.onnx");
  EXPECT_THAT(run("compile seven.onnx --train " + flags + "-o m.gannet"), HasSubstr("--write-model"));
  run("compile seven.onnx --train " + flags + "--write-model three.onnx -o m.gannet");
  deploy("m.gannet --tune d.npz --epochs 2 --seed 4 -o w.safetensors");
  run("apply-weights three.onnx w.safetensors -o applied.onnx");
  EXPECT_TRUE(contents("applied.onnx") == contents("tuned.onnx"));
  EXPECT_THAT(error("apply-weights seven.onnx w.safetensors -o other.onnx"), HasSubstr("the model has f32[7"));
  run("refit m.gannet applied.onnx -o refitted.gannet");
  deploy("refitted.gannet --input d.npz --output given");
  run("run applied.onnx --input d.npz --output expected");
  for (const auto& entry : std::filesystem::directory_iterator("expected"))
    EXPECT_TRUE(contents("given" / entry.path().filename()) == contents(entry.path()));
  EXPECT_THAT(error("compile m.onnx --train --write-model same.onnx -o m.gannet"), HasSubstr("--write-model"));
  EXPECT_THAT(error("compile m.onnx --train --new-head 7 --write-model m.onnx -o m.gannet"), HasSubstr("m.onnx: is read as well"));
  EXPECT_THAT(error("compile m.onnx --train --new-head 7 --write-model n.gannet -o n.gannet"), HasSubstr("n.gannet: two results would be written there"));
}

TEST_F(TuneArtifact, BuiltTwiceIsTheSameFileAndKeepsInference) {
  make_mlp();
  const std::string line = "compile m.onnx --train --dropout *0*=0.1 --target x86-64-v3,x86-64-v4 --no-cache -o ";
  run(line + "a.gannet");
  run(line + "b.gannet");
  EXPECT_TRUE(contents("a.gannet") == contents("b.gannet"));
  run("compile m.onnx --target x86-64-v3,x86-64-v4 -o plain.gannet");
  EXPECT_EQ(deploy("a.gannet --input d.npz"), deploy("plain.gannet --input d.npz"));
  const Artifact artifact = read_whole_artifact("a.gannet").value();
  ASSERT_EQ(artifact.programs.size(), 2u);
  EXPECT_TRUE(artifact.programs[0].training && artifact.programs[1].training);
  EXPECT_FALSE(read_whole_artifact("plain.gannet")->programs[0].training);
}

TEST_F(TuneArtifact, InspectSaysWhatTrainingTakes) {
  make_mlp();
  const std::string text = "can be fine-tuned: 83 weights of 4 tensors, cross entropy of 'logits', AdamW; needs ";
  EXPECT_THAT(run("compile m.onnx --train --epochs 3 --lr 0.01 -o m.gannet"), HasSubstr(text));
  EXPECT_THAT(run("inspect m.gannet"),
              AllOf(HasSubstr(text), HasSubstr("  input input  f32[batch, 6]\n"), HasSubstr("  target  class numbers below 3, i64[batch]\n"),
                    HasSubstr("  unless told otherwise 3 epochs, batches of 32 rows, learning rate 0.01, constant\n")));
  EXPECT_THAT(run("inspect m.gannet --json"), AllOf(HasSubstr("\"optimizer\": \"AdamW\""), HasSubstr("\"classes\": 3")));
  run("compile m.onnx -o plain.gannet");
  EXPECT_THAT(run("inspect plain.gannet"), testing::Not(HasSubstr("fine-tuned")));
  EXPECT_THAT(error("compile m.onnx --epochs 3 -o m.gannet"), HasSubstr("--train"));
  EXPECT_THAT(error("compile m.onnx --train --class-weights balanced -o m.gannet"), HasSubstr("there are none yet"));
  EXPECT_THAT(error("compile m.onnx --train --freeze none* -o m.gannet"), HasSubstr("matches no weight"));
  EXPECT_THAT(error("compile m.onnx --train --soft-labels --loss mse -o m.gannet"), HasSubstr("takes no classes"));
}

// Refitted with the weights that came from it, a file is that of the tuned model.
TEST_F(TuneArtifact, RefitKeepsTheTrainingPart) {
  make_mlp();
  const std::string flags = " --train --optimizer adamw --no-decay-vectors --weight-decay 0.1 --lr-for *0*=0.5 --dropout *0*=0.1 --ignore-index -1 ";
  run("compile m.onnx" + flags + "-o made.gannet");
  deploy("made.gannet --tune d.npz --epochs 2 -o w.safetensors");
  run("apply-weights m.onnx w.safetensors -o tuned.onnx");
  run("compile tuned.onnx" + flags + "-o fresh.gannet");
  run("refit made.gannet tuned.onnx -o refitted.gannet");
  EXPECT_TRUE(contents("refitted.gannet") == contents("fresh.gannet"));
  EXPECT_FALSE(contents("refitted.gannet") == contents("made.gannet"));
  deploy("refitted.gannet --tune d.npz --epochs 1 -o again.safetensors");
  run("apply-weights tuned.onnx again.safetensors -o again.onnx");
  run("tune tuned.onnx --train d.npz --epochs 1" + flags.substr(8) + "-o expected.onnx");
  EXPECT_TRUE(contents("again.onnx") == contents("expected.onnx"));
}

// As if the model had always had its head.
TEST_F(TuneArtifact, RefitOfANewHeadTakesTheModelThatHasIt) {
  make_mlp();
  TestModel model(13);
  std::vector<float> first(48), second(56);
  for (size_t i = 0; i < first.size(); ++i) first[i] = static_cast<float>(i % 7) / 7 - 0.4f;
  for (size_t i = 0; i < second.size(); ++i) second[i] = static_cast<float>(i % 5) / 5 - 0.4f;
  model.input("input", {"n", int64_t{6}}).floats("first", {6, 8}, first).floats("second", {8, 7}, second);
  model.node("MatMul", {"input", "first"}, {"a"}).node("Relu", {"a"}, {"b"}).node("MatMul", {"b", "second"}, {"output"});
  model.output("output");
  write("seven.onnx", model.proto.SerializeAsString());
  run("compile seven.onnx --train --new-head 3 --head-dropout 0.2 --write-model three.onnx -o made.gannet");
  deploy("made.gannet --tune d.npz --epochs 2 -o w.safetensors");
  run("apply-weights three.onnx w.safetensors -o tuned.onnx");
  run("refit made.gannet tuned.onnx -o refitted.gannet");
  run("compile tuned.onnx --train --dropout b=0.2 -o fresh.gannet");
  EXPECT_TRUE(contents("refitted.gannet") == contents("fresh.gannet"));
}

TEST_F(TuneArtifact, TunedWeightsRunOnTheDevice) {
  make_mlp();
  run("compile m.onnx --train -o m.gannet");
  deploy("m.gannet --tune d.npz --epochs 2 -o w.safetensors");
  run("apply-weights m.onnx w.safetensors -o tuned.onnx");
  EXPECT_EQ(deploy("m.gannet --weights w.safetensors --input d.npz --top 2"), run("run tuned.onnx --input d.npz --top 2"));
  run("new mlp --inputs 6 --units 9 --outputs 3 -o other.onnx");
  run("compile other.onnx --train -o other.gannet");
  EXPECT_THAT(refusal("other.gannet --weights w.safetensors --input d.npz"), HasSubstr("error: w.safetensors: weight '"));
  EXPECT_THAT(refusal("m.gannet --weights d.npz"), HasSubstr("d.npz"));
}

TEST_F(TuneArtifact, SaysWhatIsWrongBeforeItTrains) {
  make_mlp();
  run("compile m.onnx -o plain.gannet");
  run("compile m.onnx --train -o m.gannet");
  EXPECT_EQ(refusal("plain.gannet --tune d.npz -o w.safetensors"), "error: plain.gannet: it has no training part: compile it with --train\n");
  EXPECT_EQ(refusal("m.gannet --tune d.npz"), "error: --tune needs -o FILE.safetensors\n");
  EXPECT_THAT(refusal("m.gannet --tune d.npz -o absent/w.safetensors"), HasSubstr("absent/w.safetensors"));
  EXPECT_THAT(refusal("m.gannet --tune absent.npz -o w.safetensors"), HasSubstr("absent.npz"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --best-by top9_accuracy -o w.safetensors"), HasSubstr("there is no measure 'top9_accuracy'"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --bgr -o w.safetensors"), HasSubstr("d.npz: arrays are taken as they are"));
  EXPECT_THAT(error("compile m.onnx --train --warmup soon -o x.gannet"), HasSubstr("--warmup"));
  EXPECT_THAT(error("compile m.onnx --train --trained-output none -o x.gannet"), HasSubstr("there is no floating point output 'none'; the model has logits"));
  EXPECT_THAT(refusal("m.gannet --epochs 3"), HasSubstr("--tune"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz -o d.npz"), HasSubstr("d.npz: is read as well, it would be written over"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz -o ./m.gannet"), HasSubstr("it would be written over"));
  EXPECT_THAT(refusal("m.gannet --weights= --input d.npz"), HasSubstr("error: "));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --input d.npz -o w.safetensors"), HasSubstr("--input"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --warmup 100 --steps 20 -o w.safetensors"), HasSubstr("the run has 20 updates in all"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --patience 2 -o w.safetensors"), HasSubstr("--patience needs --eval"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --accumulate 2 -o w.safetensors"), HasSubstr("compile it with --train --accumulate"));
  EXPECT_THAT(refusal("m.gannet --tune d.npz --best-by beauty -o w.safetensors"), HasSubstr("there is no measure 'beauty'"));
  const auto with = [&](const std::string& name, const Tensor& other) {
    change("wrong.npz", name, other);
    const std::string message = refusal("m.gannet --tune wrong.npz -o w.safetensors");
    EXPECT_EQ(message.find('\n'), message.size() - 1);
    return message;
  };
  Tensor labels = read_npz_array("d.npz", "labels").value(), input = read_npz_array("d.npz", "input").value();
  EXPECT_THAT(with("labels", Tensor()), HasSubstr("it lacks the labels or targets"));
  EXPECT_THAT(with("input", Tensor()), HasSubstr("wrong.npz: there is no array 'input'; it holds labels"));
  EXPECT_THAT(with("input", Tensor::zeros(DType::kF32, {96, 5})), HasSubstr("array 'input' is f32[96, 5], input 'input' takes f32[batch, 6]"));
  EXPECT_THAT(with("input", Tensor::zeros(DType::kF32, {95, 6})), HasSubstr("rows"));
  EXPECT_THAT(with("labels", Tensor::zeros(DType::kF32, {96})), HasSubstr("array 'labels' is f32[96], the loss of 'logits' takes i64[batch]"));
  labels.mutable_data<int64_t>()[7] = 3;
  EXPECT_THAT(with("labels", labels), HasSubstr("label 3 in row 7 of 'labels' is not one of the 3 classes of output 'logits'"));
  input.mutable_data<float>()[13] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(with("input", input), HasSubstr("array 'input' holds NaN in row 2"));
  EXPECT_FALSE(std::filesystem::exists("w.safetensors"));
}

TEST_F(TuneArtifact, ADivergenceIsAnErrorThatSaysWhatIsLeft) {
  make_mlp();
  run("compile m.onnx --train --optimizer sgd -o m.gannet");
  EXPECT_THAT(refusal("m.gannet --tune d.npz --lr 1e30 -o w.safetensors"), HasSubstr("the training diverges, try a smaller --lr than 1e+30"));
  EXPECT_FALSE(std::filesystem::exists("w.safetensors"));
}

// The file with a training part that was changed by `change`, as reading refuses it; empty where it does not.
std::string refused_part(const std::function<void(TrainingPart&)>& change) {
  Artifact artifact = read_whole_artifact("m.gannet").value();
  auto part = std::make_shared<TrainingPart>(*artifact.programs[0].training);
  change(*part);
  artifact.programs[0].training = part;
  EXPECT_TRUE(write_artifact("changed.gannet", artifact).ok());
  const Result<TargetProgram> read = read_trainable_artifact("changed.gannet");
  return read.ok() ? "" : read.error().message;
}

TEST_F(TuneArtifact, ATrainingPartThatContradictsItselfIsRefused) {
  make_mlp();
  run("compile m.onnx --train -o m.gannet");
  EXPECT_EQ(refused_part([](TrainingPart&) {}), "");
  const auto program = [](std::shared_ptr<const Program>& held, const std::function<void(Program&)>& change) {
    auto own = std::make_shared<Program>(*held);
    change(*own);
    held = std::move(own);
  };
  const std::string prefix = "changed.gannet: its training part contradicts itself: ";
  EXPECT_EQ(refused_part([&](TrainingPart& part) { part.plan.takes_seed = true; }), prefix + "a model of 1 inputs has 3 in training and 2 in evaluation");
  EXPECT_THAT(refused_part([&](TrainingPart& part) { std::swap(part.step, part.evaluation); }), HasSubstr(prefix));
  EXPECT_EQ(refused_part([&](TrainingPart& part) { program(part.step, [](Program& step) { step.outputs[0].name = "gain"; }); }), prefix + "it has no loss");
  EXPECT_EQ(refused_part([&](TrainingPart& part) { program(part.evaluation, [](Program& own) { own.states[0].name = "other"; }); }),
            prefix + "weight 'other' is not the same in its programs");
  EXPECT_THAT(refused_part([&](TrainingPart& part) { program(part.step, [](Program& step) { step.steps[0].inputs[0] = 1000; }); }),
              HasSubstr(prefix + "step 0 refers to what is not there"));
  EXPECT_EQ(refused_part([&](TrainingPart& part) { part.plan.defaults.batch_size = 0; }), prefix + "its defaults are out of range");
  EXPECT_EQ(refused_part([&](TrainingPart& part) { part.plan.defaults.accumulate = 2; }), prefix + "its defaults are out of range");
  EXPECT_THAT(refused_part([&](TrainingPart& part) { part.plan.target.class_axis = 2; }), HasSubstr(prefix + "targets of i64[batch] are for another output"));
  EXPECT_THAT(refused_part([&](TrainingPart& part) { part.plan.target.class_axis = 0; }), HasSubstr(prefix));
  EXPECT_THAT(refused_part([&](TrainingPart& part) { part.plan.target.classes = 2; }), HasSubstr(prefix));
  EXPECT_THAT(refused_part([&](TrainingPart& part) { part.plan.target.kind = TargetKind::kNumbers; }), HasSubstr(prefix));
}

template <class T>
void put(std::string& bytes, size_t at, const T& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// Bytes of the description changed and its checksums made right again: refused, or consistent enough for a trainer.
TEST_F(TuneArtifact, ADamagedDescriptionWithRightChecksumsIsRefusedOrConsistent) {
  make_mlp();
  run("compile m.onnx --train --dropout *0*=0.1 -o m.gannet");
  const std::string whole = contents("m.gannet");
  constexpr size_t kFirstEntry = 24, kHeaderBytes = 100, kStride = 13;
  uint64_t offset = 0, size = 0;
  std::memcpy(&offset, whole.data() + kFirstEntry + 8, 8);
  std::memcpy(&size, whole.data() + kFirstEntry + 16, 8);
  int64_t refused = 0;
  for (size_t i = offset; i < offset + size; i += kStride) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (i % 2 ? 0xff : 1 << i % 8));
    const std::span bytes(reinterpret_cast<const uint8_t*>(damaged.data()), damaged.size());
    const uint32_t part = crc32c(bytes.subspan(offset, size));
    put(damaged, kFirstEntry + 4, crc32c({reinterpret_cast<const uint8_t*>(&part), sizeof part}));
    put(damaged, kHeaderBytes - 4, crc32c(bytes.first(kHeaderBytes - 4)));
    write("damaged.gannet", damaged);
    const Result<TargetProgram> read = read_trainable_artifact("damaged.gannet");
    if (!read.ok()) {
      ++refused;
      continue;
    }
    EngineGraphs graphs;
    const TrainingPart& made = *read->training;
    for (auto [program, runner] : {std::pair(made.step, &graphs.step), std::pair(made.evaluation, &graphs.evaluation)}) {
      Result<std::unique_ptr<Session>> session = make_session(program, 1, 0, Limits());
      if (session.ok()) *runner = make_session_runner(*program, *std::move(session));
    }
    if (!graphs.step || !graphs.evaluation) continue;
    const TrainingEngine engine(std::move(graphs));
    EXPECT_EQ(engine.weights().size(), made.evaluation->states.size());
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace gannet::test
