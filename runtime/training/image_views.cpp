#include "runtime/training/image_views.h"

#include "runtime/training/image_tensor.h"

namespace gannet {

namespace {

class ImageViews final : public ViewSource {
 public:
  ImageViews(std::shared_ptr<const ImageRows> labelled, std::shared_ptr<const ImageRows> others,
             ImageViewOptions options, PixelWriter writer)
      : labelled_(std::move(labelled)),
        others_(std::move(others)),
        options_(std::move(options)),
        writer_(std::move(writer)),
        threads_(options_.threads) {}

  Result<BatchColumns> read(std::span<const WantedRow> wanted, int64_t batch) override {
    const ImageOptions& options = options_.image;
    const bool complete = labelled_->store->is_complete() && others_->store->is_complete();
    const std::map<int64_t, Image> labelled = TRY(made(*labelled_, wanted, true)),
                                   others = TRY(made(*others_, wanted, false));
    const auto count = static_cast<int64_t>(wanted.size());
    const int64_t cost = count * options.height * options.width *
                         (complete ? kNanosecondsToCopyPixel : kNanosecondsToDecodePixel);
    const std::vector<Image> images = TRY(make_images(count, cost, threads_, [&](int64_t i) {
      const WantedRow& row = wanted[static_cast<size_t>(i)];
      return picture(row, batch, i, row.view == View::kLabelled ? labelled : others);
    }));
    BatchColumns columns;
    columns.push_back(TRY(images_tensor(images, options, writer_, threads_)));
    return columns;
  }

 private:
  const Augmentation& augmentation(View view) const {
    return view == View::kLabelled ? options_.labelled
           : view == View::kWeak   ? options_.weak
                                   : options_.strong;
  }

  // The synthetic pictures among those that are wanted with or without a label; all views of a row are of one
  // picture.
  static Result<std::map<int64_t, Image>> made(const ImageRows& source, std::span<const WantedRow> wanted,
                                               bool labelled) {
    std::vector<int64_t> rows;
    for (const WantedRow& row : wanted) {
      if ((row.view == View::kLabelled) == labelled) rows.push_back(row.row);
    }
    return synthetic_pictures(source.synthetic, source.files(), rows);
  }

  Result<Image> picture(const WantedRow& wanted, int64_t batch, int64_t place,
                        const std::map<int64_t, Image>& synthetic) const {
    const ImageRows& rows = wanted.view == View::kLabelled ? *labelled_ : *others_;
    const Augmentation& changes = augmentation(wanted.view);
    Random random = augment_random(options_.seed, batch, place);
    if (wanted.row >= rows.files())
      return changed_picture(synthetic.at(wanted.row), options_.image, &changes, random);
    const auto kept = TRY(rows.store->get(rows.pictures[static_cast<size_t>(wanted.row)]));
    return changed_picture(*kept, options_.image, &changes, random);
  }

  std::shared_ptr<const ImageRows> labelled_, others_;
  ImageViewOptions options_;
  PixelWriter writer_;
  Threads threads_;
};

}  // namespace

Result<std::unique_ptr<ViewSource>> make_image_views(std::shared_ptr<const ImageRows> labelled,
                                                     std::shared_ptr<const ImageRows> others,
                                                     ImageViewOptions options) {
  PixelWriter writer = TRY(PixelWriter::make(options.image, options.image.channels));
  return std::unique_ptr<ViewSource>(std::make_unique<ImageViews>(std::move(labelled), std::move(others),
                                                                  std::move(options), std::move(writer)));
}

}  // namespace gannet
